"""Where tasks part: one backward pass gives the gradients of all of them there."""

import abc
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from kmtl._parts import Parts
from kmtl._typing import Tensor
from kmtl.layers import MixExperts, MixOwnExperts, Representation, TaskDense
from kmtl.layers._wide import wide_dtype
from kmtl.tasks import ProductTask

# From here on a long product is split, or one thread does most of it.
_MANY = 32
_PARTS = 16


class FanOut(abc.ABC):
    """Tensors right behind the one that tasks share, each with a slice for each task.

    The gradient of the sum of all losses by such a tensor, a handle, holds in the slice
    of a task the gradient of its loss alone. The gradients of each task at the shared
    tensor follow from it without another pass through the heads.

    Attributes:
        in_encoder: Symbolic tensors of the encoder whose values are needed.
        in_heads: Those of the heads.
    """

    in_encoder: list[Tensor]
    in_heads: list[Tensor]

    @abc.abstractmethod
    def handles(self, values: Sequence[Tensor]) -> list[Tensor]:
        """Picks the handles of the values of `in_encoder` and `in_heads`."""

    @abc.abstractmethod
    def weighted(self, gradients: Sequence[Tensor], weights: Tensor) -> list[Tensor]:
        """Multiplies the slices of the tasks by their weights, `(tasks,)`."""

    def read(self) -> list[Tensor]:
        """Reads the weights that `by_task` needs, before the step changes them."""
        return []

    @abc.abstractmethod
    def by_task(
        self,
        gradients: Sequence[Tensor],
        values: Sequence[Tensor],
        weights: Sequence[Tensor],
    ) -> Tensor:
        """Returns the tasks' gradients at the shared tensor, `(tasks, batch, ...)`.

        Args:
            gradients: Those of the sum of the losses by the handles.
            values: Those of `in_encoder` and `in_heads`.
            weights: What `read` returned.
        """

    @property
    def has_closed_form(self) -> bool:
        """Whether `gramian` is there, which needs no gradients by task."""
        return False

    def gramian(self, gradients: Sequence[Tensor], values: Sequence[Tensor]) -> Tensor:
        """Returns the inner products of the tasks' gradients, `(tasks, tasks)`."""
        raise NotImplementedError


class HeadsPart(FanOut):
    """Tasks part at the first dense layers of their heads.

    Args:
        layers: These layers, one a head group.
        indices: The tasks of each, by position among all tasks.
    """

    def __init__(
        self, layers: Sequence[TaskDense], indices: Sequence[Sequence[int]]
    ) -> None:
        self._layers = list(layers)
        self._indices = [list(part) for part in indices]
        order = [index for part in indices for index in part]
        self._places = sorted(range(len(order)), key=order.__getitem__)
        self.in_encoder = []
        self.in_heads = [layer.output for layer in layers]

    def handles(self, values: Sequence[Tensor]) -> list[Tensor]:
        return list(values)

    def weighted(self, gradients: Sequence[Tensor], weights: Tensor) -> list[Tensor]:
        return [
            _scaled(gradient, tf.gather(weights, indices))
            for gradient, indices in zip(gradients, self._indices, strict=True)
        ]

    def read(self) -> list[Tensor]:
        return [tf.convert_to_tensor(layer.kernel.value) for layer in self._layers]

    def by_task(
        self,
        gradients: Sequence[Tensor],
        values: Sequence[Tensor],
        weights: Sequence[Tensor],
    ) -> Tensor:
        parts = [
            _before_dense(*part)
            for part in zip(self._layers, weights, gradients, values, strict=True)
        ]
        joined = parts[0] if len(parts) == 1 else tf.concat(parts, 0)
        if self._places == sorted(self._places):
            return joined
        return tf.gather(joined, self._places)


def _scaled(gradient: Tensor, weights: Tensor) -> Tensor:
    """Multiplies the slices `(..., tasks, features)` by weights, `(tasks,)`."""
    wide = tf.cast(gradient, weights.dtype) * weights[:, None]
    return tf.cast(wide, gradient.dtype)


def _before_dense(
    layer: TaskDense, kernel: Tensor, gradient: Tensor, output: Tensor
) -> Tensor:
    """From the gradient `(batch, tasks, units)` to that by the input, tasks first."""
    gradient = tf.cast(gradient, wide_dtype())
    if layer.activation is keras.activations.relu:
        gradient = tf.where(output > 0, gradient, tf.zeros_like(gradient))
    kernel = tf.cast(kernel, gradient.dtype)  # (t, i, o)
    by_task = tf.transpose(gradient, (1, 0, 2))
    return tf.matmul(by_task, kernel, transpose_b=True)


class MixturePart(FanOut):
    """Tasks part where each takes its own mixture of shared experts.

    Args:
        mixture: The layer that mixes, of which the output is the representation.
        own: How many of the gates are of the task's own experts.
    """

    def __init__(self, mixture: MixExperts | MixOwnExperts, own: int) -> None:
        self._own = own
        self.in_encoder = [mixture.output, mixture.input[-1]]
        self.in_heads = []

    def handles(self, values: Sequence[Tensor]) -> list[Tensor]:
        return [values[0]]

    def weighted(self, gradients: Sequence[Tensor], weights: Tensor) -> list[Tensor]:
        return [_scaled(gradient, weights) for gradient in gradients]

    def by_task(
        self,
        gradients: Sequence[Tensor],
        values: Sequence[Tensor],
        weights: Sequence[Tensor],
    ) -> Tensor:
        del weights
        by_task, gates = _tasks_first(gradients[0]), _tasks_first(self._gates(values))
        between = (1,) * (len(by_task.shape) - 3)
        gates = tf.reshape(gates, (gates.shape[0], -1, *between, gates.shape[-1], 1))
        return by_task[..., None, :] * gates

    @property
    def has_closed_form(self) -> bool:
        return True

    def gramian(self, gradients: Sequence[Tensor], values: Sequence[Tensor]) -> Tensor:
        # A gradient is a product, of gates and what comes back to the mixture: so is
        # the inner product of two in each row.
        by_row = _products_by_row(gradients[0])
        return tf.reduce_sum(by_row * _products_by_row(self._gates(values)), axis=0)

    def _gates(self, values: Sequence[Tensor]) -> Tensor:
        return values[1][..., self._own :]


def _tasks_first(tensor: Tensor) -> Tensor:
    """From `(batch, ..., tasks, features)` to `(tasks, batch, ..., features)`."""
    tensor, rank = tf.cast(tensor, wide_dtype()), len(tensor.shape)
    return tf.transpose(tensor, (rank - 2, *range(rank - 2), rank - 1))


def _products_by_row(tensor: Tensor) -> Tensor:
    """From `(batch, ..., tasks, features)` to products `(batch, tasks, tasks)`."""
    tensor = tf.cast(tensor, wide_dtype())
    by_position = tf.matmul(tensor, tensor, transpose_b=True)
    return tf.reduce_sum(by_position, axis=range(1, len(tensor.shape) - 2))


def products(gradients: Tensor) -> Tensor:
    """Returns the inner products `(tasks, tasks)` of gradients `(tasks, ...)`."""
    tasks = gradients.shape[0]
    flat = tf.reshape(tf.cast(gradients, wide_dtype()), (tasks, -1))
    if tasks < _MANY:
        return tf.matmul(flat, flat, transpose_b=True)
    rest = -tf.shape(flat)[1] % _PARTS
    parts = tf.reshape(tf.pad(flat, ((0, 0), (0, rest))), (tasks, _PARTS, -1))
    parts = tf.transpose(parts, (1, 0, 2))
    return tf.reduce_sum(tf.matmul(parts, parts, transpose_b=True), axis=0)


def fan_out(model: Parts) -> FanOut | None:
    """Finds where the tasks of a model part, or `None` where that has no such form."""
    if len(model.shared_tensors) != 1:
        return None
    if any(isinstance(task, ProductTask) for task in model.outputs_layer.tasks):
        return None  # the loss of a product comes back to the slices of its factors
    (shared,) = model.shared_tensors
    marks = [layer for layer in model.layers if isinstance(layer, Representation)]
    if len(marks) == 1 and marks[0].input is shared and marks[0].tasks is None:
        return _heads_part(model, marks[0].output)
    for layer in model.layers:
        if len(marks) == 1 and marks[0].input is layer.output:
            return _mixture_part(layer, shared)
    return None


def _heads_part(model: Parts, representation: Tensor) -> HeadsPart | None:
    groups = model.outputs_layer.groups
    firsts = [
        layer
        for group in groups
        for layer in model.heads.layers
        if isinstance(layer, TaskDense)
        and layer.name.startswith(f"{group.stem}_")
        and layer.input is representation
    ]
    known = (keras.activations.relu, keras.activations.linear)
    if len(firsts) != len(groups) or any(f.activation not in known for f in firsts):
        return None
    return HeadsPart(firsts, [group.indices for group in groups])


def _mixture_part(layer: Any, shared: Tensor) -> MixturePart | None:
    if isinstance(layer, MixExperts) and layer.input[0] is shared:
        return MixturePart(layer, own=0)
    if isinstance(layer, MixOwnExperts) and layer.input[1] is shared:
        own, *_, gates = layer.input
        return MixturePart(layer, own=own.shape[-2] // gates.shape[-2])
    return None
