"""From what the tasks share to stacked logits: where heads attach, and the heads."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from kmtl._checks import check_known_keys, shorten
from kmtl._head_groups import HeadGroup, condition_name, conditions, group_heads
from kmtl._typing import Shape, Tensor
from kmtl.layers import (
    Condition,
    NothingGiven,
    ProductLogits,
    Representation,
    TakeTasks,
    TaskDense,
)
from kmtl.layers._per_task import derive_seed
from kmtl.tasks import BinaryTask, MulticlassTask, ProductTask, RegressionTask, Task
from kmtl.trunks import as_trunk


class Heads:
    """The heads of all tasks on what a sharing gives.

    Args:
        tasks: The tasks of the model, with known classes.
        marks: For each task where its head is attached.
        seed: Decides the initial values of the heads together with the task names.
        given: Where a training step puts labels that other heads see; made here where
            that is needed and missing.

    Attributes:
        groups: The head groups, in the order in which they are computed.
        logits: Their stacked outputs, one a group.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        marks: Sequence[Representation],
        *,
        seed: int,
        given: Tensor | None = None,
    ) -> None:
        self._tasks = tasks
        self._marks = marks
        self._seed = seed
        self._conditions = conditions(tasks)
        self._given = given
        if self._conditions and given is None:
            nothing = NothingGiven(len(self._conditions), name="nothing_given")
            self._given = nothing(marks[0].output)
        self.groups: list[HeadGroup] = []
        self.logits: list[Tensor] = []

    def keep(self, group: HeadGroup, logits: Tensor) -> None:
        """Takes over heads that are made."""
        self.groups.append(group)
        self.logits.append(logits)

    def add_all(self, head_units: Sequence[int]) -> None:
        """Makes the heads of all tasks.

        Args:
            head_units: Widths of the hidden layers, for tasks that name none.

        Raises:
            ValueError: If they do not fit what they are attached to.
        """
        places = [mark.name for mark in self._marks]
        for group in group_heads(self._tasks, head_units, places):
            self.add(group)

    def add(self, group: HeadGroup) -> None:
        """Makes the heads of a group, after those of its parents.

        Raises:
            ValueError: If they do not fit what they are attached to.
        """
        self.keep(group, self._head(group))

    def _head(self, group: HeadGroup) -> Tensor:
        members = group.members(self._tasks)
        first = members[0]
        if isinstance(first, ProductTask):
            return self._product(first, group)
        features = self._features(group)
        if not group.own:
            self._check_vectors(group, features.shape)
        if first.condition_on:
            features = self._conditioned(members, group, features)
        if group.own:
            return _own_head(first, features)
        return _stacked_head(group, members, features, self._seed)

    def _product(self, task: ProductTask, group: HeadGroup) -> Tensor:
        logits = self._logits_of_parents(group)
        shapes = [tuple(tensor.shape) for tensor in logits]
        if len(set(shapes)) > 1:
            raise ValueError(
                f"`factors` of ProductTask({task.name!r}) must have outputs of one "
                f"shape. Received: {dict(zip(task.factors, shapes, strict=True))}."
            )
        return ProductLogits(name=f"{group.stem}_product")(logits)

    def _conditioned(
        self, members: Sequence[Task], group: HeadGroup, features: Tensor
    ) -> Tensor:
        """Appends what is known of the parents of a group to what its heads see."""
        logits = self._logits_of_parents(group)
        for index, tensor in zip(group.parents, logits, strict=True):
            self._check_parent(self._tasks[index], tensor.shape, members)
        condition = Condition(
            [self._conditions.index(index) for index in group.parents],
            [_activation(self._tasks[index]) for index in group.parents],
            name=condition_name(group),
        )
        return condition([features, self._given, *logits])

    def _check_parent(
        self, parent: Task, shape: Shape, members: Sequence[Task]
    ) -> None:
        is_number = isinstance(parent, RegressionTask)
        if len(shape) != 2 or (is_number and shape[-1] != 1):
            raise ValueError(
                f"`condition_on` of task {members[0].name!r} must name tasks with one "
                f"label a row. Received: {parent.name!r}, whose head gives outputs of "
                f"shape {tuple(shape)}."
            )

    def _logits_of_parents(self, group: HeadGroup) -> list[Tensor]:
        """The logits of each parent `(batch, ..., units)`, of groups that are made."""
        return [
            self._logits_of(index, f"{group.stem}_parent_{place}")
            for place, index in enumerate(group.parents)
        ]

    def _logits_of(self, index: int, name: str) -> Tensor:
        number = next(i for i, g in enumerate(self.groups) if index in g.indices)
        group, logits = self.groups[number], self.logits[number]
        if group.own:
            return logits
        names = [task.name for task in group.members(self._tasks)]
        return TakeTasks(self._tasks[index].name, tasks=names, name=name)(logits)

    def _features(self, group: HeadGroup) -> Tensor:
        """What the heads of a group see of the representation."""
        mark = self._marks[group.indices[0]]
        if mark.tasks is None:
            return mark.output
        names = [task.name for task in group.members(self._tasks)]
        taken = names[0] if group.own else names
        take = TakeTasks(taken, tasks=mark.tasks, name=f"{group.stem}_slices")
        return take(mark.output)

    def _check_vectors(self, group: HeadGroup, shape: Shape) -> None:
        members = group.members(self._tasks)
        is_shared = self._marks[group.indices[0]].tasks is None
        if len(shape) == (2 if is_shared else 3):
            return
        raise ValueError(
            f"The trunk gives a feature map of shape {tuple(shape)}, "
            f"but the built-in heads of {shorten(t.name for t in members)} need a "
            'vector a row. Pool it (`pooling="avg"`, or `GlobalAveragePooling2D()` at '
            "the end of the trunk), or give the tasks heads of their own (`head=`)."
        )


def has_task_axis(shared: Any, tasks: Sequence[Task]) -> bool:
    """Whether a tensor holds one slice a task on its last axis but one."""
    return (
        isinstance(shared, keras.KerasTensor)
        and len(shared.shape) > 2
        and shared.shape[-2] == len(tasks)
    )


def _activation(task: Task) -> str:
    """What makes of logits what the heads of other tasks see."""
    if isinstance(task, BinaryTask):
        return "sigmoid"
    return "softmax" if isinstance(task, MulticlassTask) else "linear"


def mark(
    shared: Tensor | Mapping[str, Tensor], tasks: Sequence[Task], *, has_task_axis: bool
) -> list[Representation]:
    """Marks where heads attach.

    Args:
        shared: What a sharing returned: one tensor, or tensors by task name, which
            attach heads to several places of a network.
        tasks: The tasks of the model.
        has_task_axis: Whether `shared` is one tensor with a slice a task.

    Returns:
        The mark of each task.
    """
    names = [task.name for task in tasks]
    if not isinstance(shared, Mapping):
        slices = names if has_task_axis else None
        one = Representation(slices, name="representation")
        one(shared)
        return [one] * len(tasks)
    check_known_keys(shared, names, "the result of `sharing`")
    check_known_keys(names, shared, "tasks", kind="key of what `sharing` returns")
    marks: dict[int, Representation] = {}
    for name in names:
        tensor = shared[name]
        if id(tensor) not in marks:
            suffix = f"_{len(marks)}" if marks else ""
            marks[id(tensor)] = Representation(name=f"representation{suffix}")
            marks[id(tensor)](tensor)
    return [marks[id(shared[name])] for name in names]


def _stacked_head(
    group: HeadGroup, members: Sequence[Task], features: Tensor, seed: int
) -> Tensor:
    names = [task.name for task in members]
    stem = group.stem
    outputs = features
    for depth, units in enumerate(group.hidden):
        outputs = TaskDense(
            units,
            tasks=names,
            activation="relu",
            seed=derive_seed(seed, "hidden", depth),
            name=f"{stem}_hidden_{depth}",
        )(outputs)
    last = TaskDense(
        group.units, tasks=names, seed=derive_seed(seed, "out"), name=f"{stem}_out"
    )
    return last(outputs)


def _own_head(task: Task, features: Tensor) -> Tensor:
    logits = as_trunk(task.head, subject=f"head of task {task.name!r}")(features)
    width = logits.shape[-1]
    if isinstance(task, MulticlassTask):
        expected = task.units
    else:
        expected = 1 if isinstance(task, BinaryTask) else width
    if len(logits.shape) < 2 or width != expected:
        raise ValueError(
            f"`head` of task {task.name!r} must end in {expected} units (logits, no "
            f"activation). Received: an output of shape {tuple(logits.shape)}."
        )
    return logits
