"""Layers of a model, called for the slice of each row's own task only."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kmtl._training._row_groups import RowGroups
from kmtl._typing import Tensor
from kmtl.layers import MixExperts, TaskConv2D, TaskModel
from kmtl.layers._stacked import SlicewiseLayer


class Rows:
    """Where layers find the rows of the batch that they are called on."""

    current: RowGroups


class AsItIs(keras.Operation):
    """A layer of another graph, called with its own weights.

    To call the layer itself on symbolic tensors would add to the graph that it is of.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__(name=layer.name)
        self._layer = layer

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return self._layer(*args, **kwargs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return self._layer.compute_output_spec(*args, **kwargs)


class OneSlice(keras.Operation):
    """Stands for a layer that makes or takes the slices of tasks.

    On one slice a row there is nothing to take; features that all tasks share become
    the one slice.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__(name=layer.name)
        self._rank = len(layer.output.shape)

    def call(self, inputs: Tensor) -> Tensor:
        return (
            inputs if len(inputs.shape) == self._rank else ops.expand_dims(inputs, -2)
        )

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        has_slices = len(inputs.shape) == self._rank
        *rest, features = inputs.shape
        shape = inputs.shape if has_slices else (*rest, 1, features)
        return keras.KerasTensor(shape, dtype=inputs.dtype)


class OwnSlice(keras.Operation):
    """A stack, of which each row goes through the slice of its own task.

    Args:
        layer: The stack.
        places: For each task its slice, by position; any for a task without one, of
            which the output is not used.
        rows: Where to find the rows.
    """

    def __init__(
        self, layer: SlicewiseLayer, places: Sequence[int], rows: Rows
    ) -> None:
        super().__init__(name=layer.name)
        self._layer = layer
        self._has_slices = _has_slices(layer)  # else all tasks share the input
        self._places = list(places)
        self._rows = rows

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        del training  # slices that are not the same in training are not called here
        rows = self._rows.current

        def grouped(tensor: Tensor) -> Tensor:
            return rows.grouped(ops.squeeze(tensor, -2) if self._has_slices else tensor)

        weights = [self._part_of(weight, rows) for weight in self._layer.weights]
        run = self._in_turn if _is_loop(self._layer) else self._layer.apply_slices
        groups = keras.tree.map_structure(grouped, inputs)
        return ops.expand_dims(rows.by_row(run(groups, weights)), -2)

    def _part_of(self, weight: Any, rows: RowGroups) -> Tensor:
        """The slices of a weight that the groups need; those of all without a copy."""

        def some() -> Tensor:
            return _slices_of(weight, tf.gather(self._places, rows.owners))

        is_each = self._places == list(range(weight.shape[0]))
        if rows.is_one_each is None or not is_each:
            return some()
        part = tf.cond(rows.is_one_each, lambda: tf.identity(weight.value), some)
        part.set_shape((None, *weight.shape[1:]))
        return part

    def _in_turn(self, grouped: Any, weights: Sequence[Tensor]) -> Tensor:
        """Calls a layer that has to know how many slices there are on one at a time."""

        def as_one(tensor: Tensor) -> Tensor:
            return ops.expand_dims(tensor, -2) if self._has_slices else tensor

        def run(group: Any) -> Tensor:
            x, own = group
            x = keras.tree.map_structure(as_one, x)
            one = self._layer.apply_slices(x, [weight[None] for weight in own])
            return ops.squeeze(one, -2)

        spec = tf.TensorSpec(None, self._layer.output.dtype)
        first = keras.tree.map_structure(_groups_first, grouped)
        groups = (first, list(weights))
        outputs = tf.map_fn(run, groups, fn_output_signature=spec)
        _, *size, _, features = self._layer.output.shape
        outputs.set_shape((None, None, *size, features))
        rank = len(outputs.shape)
        return tf.transpose(outputs, (*range(1, rank - 1), 0, rank - 1))

    def compute_output_spec(
        self, inputs: Any, training: bool | None = None
    ) -> keras.KerasTensor:
        del inputs, training
        *rest, _, features = self._layer.output.shape
        return keras.KerasTensor((*rest, 1, features), dtype=self._layer.output.dtype)


class OwnExperts(keras.Operation):
    """A stack of experts, of which each row goes through its own task's and the shared.

    Args:
        layer: The stack; its shared slices come last.
        places: For each task its slices, as many for each.
        shared: The slices that belong to no task.
        rows: Where to find the rows.
    """

    def __init__(
        self,
        layer: SlicewiseLayer,
        places: Sequence[Sequence[int]],
        shared: Sequence[int],
        rows: Rows,
    ) -> None:
        super().__init__(name=layer.name)
        self._layer = layer
        self._own = [OwnSlice(layer, own, rows) for own in zip(*places, strict=True)]
        self._shared = list(shared)

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        del training  # as in `OwnSlice`
        parts = [
            expert(self._slices(inputs, slice(place, place + 1)))
            for place, expert in enumerate(self._own)
        ]
        if self._shared:
            weights = [_slices_of(w, self._shared) for w in self._layer.weights]
            shared = self._slices(inputs, slice(len(self._own), None))
            parts.append(self._layer.apply_slices(shared, weights))
        return ops.concatenate(parts, axis=-2)

    def _slices(self, inputs: Any, part: slice) -> Any:
        if not _has_slices(self._layer):
            return inputs
        return keras.tree.map_structure(lambda tensor: tensor[..., part, :], inputs)

    def compute_output_spec(
        self, inputs: Any, training: bool | None = None
    ) -> keras.KerasTensor:
        del inputs, training
        *rest, _, features = self._layer.output.shape
        slices = len(self._own) + len(self._shared)
        return keras.KerasTensor(
            (*rest, slices, features), dtype=self._layer.output.dtype
        )


class OwnSelection(keras.Operation):
    """A mixture, for each row by the gates of its own task out of those of all.

    Args:
        layer: The mixture.
        rows: Where to find the rows.
    """

    def __init__(self, layer: MixExperts, rows: Rows) -> None:
        super().__init__(name=layer.name)
        self._layer = layer
        self._rows = rows

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        experts, gates = inputs
        own = tf.gather(gates, self._rows.current.tasks(), batch_dims=1)
        return self._layer([experts, own[:, None]])

    def compute_output_spec(self, inputs: Sequence[Any]) -> keras.KerasTensor:
        experts, _ = inputs
        *rest, _, features = experts.shape
        return keras.KerasTensor((*rest, 1, features), dtype=self._layer.output.dtype)


def _has_slices(layer: SlicewiseLayer) -> bool:
    """Whether the input of a layer has a slice a task."""
    if isinstance(layer, TaskModel):  # may change the rank too
        return layer.per_task
    return len(layer.input.shape) >= len(layer.output.shape)


def _groups_first(grouped: Tensor) -> Tensor:
    rank = len(grouped.shape)
    return tf.transpose(grouped, (rank - 2, *range(rank - 2), rank - 1))


def _is_loop(layer: SlicewiseLayer) -> bool:
    """Whether a layer calls its slices one by one, and has to know their number."""
    is_convolution = isinstance(layer, TaskConv2D) and layer.kernel_size > 1
    return is_convolution or isinstance(layer, TaskModel)


def _slices_of(weight: Any, places: Tensor) -> Tensor:
    """Takes slices of a weight; its gradient is dense, as optimizers expect."""
    count = weight.shape[0]

    @tf.custom_gradient
    def take(values: Tensor) -> Any:
        def back(gradient: Tensor) -> Tensor:
            return tf.math.unsorted_segment_sum(gradient, places, count)

        return tf.gather(values, places), back

    return take(tf.convert_to_tensor(weight.value))
