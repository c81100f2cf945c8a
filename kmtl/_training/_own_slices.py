"""For each row the towers, gates and heads of its own task alone."""

import math
from collections.abc import Sequence
from typing import Any, Self

import keras
import tensorflow as tf

from kmtl._parts import Parts
from kmtl._training._graph import Graph
from kmtl._training._losses_of_calls import may_add_loss
from kmtl._training._own_layers import (
    AsItIs,
    OneSlice,
    OwnExperts,
    OwnSelection,
    OwnSlice,
    Rows,
)
from kmtl._training._row_groups import RowGroups
from kmtl._typing import Tensor
from kmtl.layers import (
    AttentionMask,
    CopyForTasks,
    Coupling,
    FoldTasks,
    MixExperts,
    Representation,
    SelectExperts,
    StackedLayer,
    TakeTasks,
    UnfoldTasks,
)
from kmtl.layers._by_slice import works_by_slice
from kmtl.layers._stacked import SlicewiseLayer, owner_of

# To put rows in groups takes as long as products with so many weights.
_WORK = 4096


class OwnSlices:
    """Computes logits for rows that belong to one task each.

    What tasks share is computed for all rows, by the layers of the model. From where
    the tasks part, each row has a single slice, that of its task. There, layers of the
    model are called with parts of their weights; nothing is copied.

    Attributes:
        saves_work: Whether that is less work than all slices, for rows of any tasks.
        keeps_state: Whether training on single slices leaves out nothing that training
            on all would change but the gradient: moving averages would be those of
            other rows, so a model that has some there is trained on all slices.
    """

    def __init__(self, model: Parts, search: "_Search") -> None:
        self._layer = model.outputs_layer
        self._search = search
        self._rows = Rows()
        frontier = list(search.frontier.values())
        self._before = keras.Model(model.input, frontier)
        after = keras.Model(frontier, model.stacked_logits())
        sizes = [math.prod(weight.shape[1:]) for weight in search.weights]
        self.saves_work = sum(sizes) * (len(self._layer.tasks) - 1) > _WORK
        self.keeps_state = not any(map(_has_moving_state, after.layers))
        self._after = keras.models.clone_model(after, clone_function=self._counterpart)

    @classmethod
    def of(cls, model: Parts) -> Self | None:
        """Finds where the tasks part, or returns `None` where slices meet again."""
        search = _Search(model)
        return cls(model, search) if search.succeeds() else None

    def logits(
        self, x: Any, tasks: Tensor, *, training: bool, is_static: bool
    ) -> list[Tensor]:
        """Computes the logits of the own task of each row.

        Args:
            x: Encoded inputs, as the model takes them.
            tasks: The task of each row by position, `(rows,)` integers.
            training: Whether layers train.
            is_static: See `RowGroups.of`.

        Returns:
            One tensor `(rows, 1, units)` a head group; no numbers of a task for rows of
            tasks that are not in the group.
        """
        count = len(self._layer.tasks)
        shared = self._before(x, training=training)
        self._rows.current = RowGroups.of(tasks, count, is_static=is_static)
        logits: Any = self._after(shared, training=training)
        return list(logits) if isinstance(logits, (list, tuple)) else [logits]

    def spread(self, own: Sequence[Tensor], tasks: Tensor) -> list[Tensor]:
        """Puts logits in the places of the rows' tasks, beside those of other rows.

        A task gets logits of its own in all rows, if it has rows: metrics may look at
        how they are spread.

        Args:
            own: What `logits` returned.
            tasks: The task of each row, `(rows,)`.

        Returns:
            One tensor `(rows, tasks of the group, units)` a head group.
        """
        spread = []
        in_turn = _in_turn(tasks, len(self._layer.tasks))
        for group, logits in zip(self._layer.groups, own, strict=True):
            rows = tf.gather(in_turn, group.indices)
            others = tf.gather(logits[:, 0], tf.transpose(rows))
            is_own = tasks[:, None] == tf.constant(group.indices, tasks.dtype)
            spread.append(tf.where(is_own[..., None], logits, others))
        return spread

    def _counterpart(self, layer: Any) -> Any:
        if isinstance(layer, (CopyForTasks, UnfoldTasks, TakeTasks)):
            return OneSlice(layer)
        if isinstance(layer, MixExperts) and self._search.selects(layer):
            return OwnSelection(layer, self._rows)
        if isinstance(layer, SlicewiseLayer):
            experts = self._search.experts(layer.tasks)
            if experts is not None:
                return OwnExperts(layer, *experts, self._rows)
            return OwnSlice(layer, self._search.places(layer.tasks), self._rows)
        return AsItIs(layer)


class _Search:
    """Follows the graph of a model to where each row needs a single slice.

    Attributes:
        frontier: The last symbolic tensors that are computed for all tasks, by `id`.
        weights: The stacked weights behind them.
    """

    def __init__(self, model: Parts) -> None:
        self._model = model
        self._names = [task.name for task in model.outputs_layer.tasks]
        # Tasks of a branch share its slices: by their names, those of each task.
        self._branches = {
            layer.tasks: layer.taken
            for layer in model.encoder.layers
            if isinstance(layer, TakeTasks) and not isinstance(layer.taken, str)
        }
        self.frontier: dict[int, Any] = {}
        self.weights: list[Any] = []
        self._own: set[int] = set()  # ids of tensors with one slice a row
        self._selections: set[int] = set()  # ids of gates, of all tasks in any case
        self._folded: set[int] = set()  # those of them without an axis of slices

    def succeeds(self) -> bool:
        """Whether single slices reach every head."""
        layer = self._model.outputs_layer
        if any(group.own or group.parents for group in layer.groups):
            return False
        graph = Graph(self._model)
        steps = [operation for operation in graph.operations if operation is not layer]
        return (
            graph.is_whole
            and all(map(self._follow, steps))
            and all(id(logits) in self._own for logits in self._model.stacked_logits())
        )

    def places(self, names: Sequence[str]) -> list[int]:
        """For each task the place of its slice, 0 where it has none."""
        taken = self._branches.get(tuple(names), self._names)
        return [names.index(name) if name in names else 0 for name in taken]

    def experts(self, names: Sequence[str]) -> tuple[list[list[int]], list[int]] | None:
        """Places of the experts of each task, and of the shared ones, which come last.

        Returns:
            `None` for other stacks, and where one task has more experts than another.
        """
        owners = [owner_of(name) for name in names]
        own = [
            [place for place, owner in enumerate(owners) if owner == task]
            for task in self._names
        ]
        count = sum(map(len, own))
        shared = [*range(count, len(names))]
        are_alike = len({len(places) for places in own}) == 1
        if owners == list(names) or not (count and are_alike) or any(owners[count:]):
            return None
        return own, shared

    def selects(self, mixture: MixExperts) -> bool:
        """Whether the gates of a mixture are computed for all tasks."""
        _, gates = mixture.input
        return id(gates) in self._selections

    def _follow(self, operation: Any) -> bool:
        """Follows one operation; returns whether it keeps slices apart."""
        if isinstance(operation, SelectExperts):
            return self._follow_selection(operation)
        inputs = keras.tree.flatten(operation.input)
        is_own = any(id(tensor) in self._own for tensor in inputs)
        if not is_own and not self._parts_tasks(operation):
            return True
        if not self._takes_selections_alone(operation, inputs):
            return False
        is_folded = any(id(tensor) in self._folded for tensor in inputs)
        if not (is_folded or self._keeps_apart(operation)) or may_add_loss(operation):
            return False
        if isinstance(operation, SlicewiseLayer):
            self.weights += operation.weights
        self.frontier |= {id(t): t for t in inputs if id(t) not in self._own}
        outputs = [id(tensor) for tensor in keras.tree.flatten(operation.output)]
        self._own.update(outputs)
        if is_folded != isinstance(operation, (FoldTasks, UnfoldTasks)):
            self._folded.update(outputs)
        return True

    def _follow_selection(self, layer: SelectExperts) -> bool:
        """Follows gates that have a penalty of all tasks: they are few numbers."""
        self.frontier[id(layer.output)] = layer.output
        self._selections.add(id(layer.output))
        self._own.add(id(layer.output))
        return list(layer.tasks) == self._names and id(layer.input) not in self._own

    def _takes_selections_alone(self, operation: Any, inputs: Sequence[Any]) -> bool:
        """Whether gates of all tasks, if there are any, mix what all tasks share."""
        if all(id(tensor) not in self._selections for tensor in inputs):
            return True
        return isinstance(operation, MixExperts) and id(inputs[0]) not in self._own

    def _parts_tasks(self, operation: Any) -> bool:
        """Whether an operation makes slices for tasks."""
        if not isinstance(operation, (StackedLayer, CopyForTasks)):
            return False
        owners = {owner_of(name) for name in operation.tasks}
        return operation.tasks in self._branches or not owners.isdisjoint(self._names)

    def _keeps_apart(self, operation: Any) -> bool:
        if isinstance(operation, StackedLayer):
            return (
                isinstance(operation, SlicewiseLayer)
                and bool(operation.weights)
                and self._are_told_apart(operation.tasks)
                and not any(map(operation.is_read, self._names))
            )
        if isinstance(operation, (AttentionMask, CopyForTasks, Representation)):
            return True
        return isinstance(operation, TakeTasks) or works_by_slice(operation)

    def _are_told_apart(self, names: Sequence[str]) -> bool:
        """Whether each slice is of one task, of a branch, or a shared expert."""
        has_one_each = set(names) <= set(self._names)
        is_of_branches = tuple(names) in self._branches
        return has_one_each or is_of_branches or self.experts(names) is not None


def _has_moving_state(layer: Any) -> bool:
    return bool(layer.non_trainable_weights) and not isinstance(layer, Coupling)


def _in_turn(tasks: Tensor, count: int) -> Tensor:
    """For each row one of each task, its rows again and again, `(tasks, rows)`."""
    total = tf.size(tasks)
    sizes = tf.math.unsorted_segment_sum(tf.ones_like(tasks), tasks, count)
    starts = tf.cumsum(sizes, exclusive=True)[:, None]
    turn = tf.range(total) % tf.maximum(sizes, 1)[:, None]
    places = tf.minimum(starts + turn, total - 1)
    return tf.gather(tf.argsort(tasks, stable=True), places)
