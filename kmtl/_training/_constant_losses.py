"""The losses of predictions that do not depend on the inputs."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kmtl._objective import GroupBatch, Objective
from kmtl._replicas import over_replicas
from kmtl._typing import Tensor
from kmtl.layers import TaskOutputs
from kmtl.tasks import BinaryTask, MulticlassTask, Task


class ConstantLosses(keras.layers.Layer):
    """Estimates the losses of the best constant predictions.

    The constant is the mean of the labels of all steps so far: the share of each class,
    or a number. It is the best one for cross entropy and squared errors, and near it
    for most other losses.

    It is no layer of a graph: a layer is what Keras saves as a part of a model.

    Args:
        layer: The output layer, which knows tasks and head groups.
        objective: Computes the losses.
    """

    def __init__(self, layer: TaskOutputs, objective: Objective) -> None:
        super().__init__(name="constant_losses", dtype="float64", trainable=False)
        self._objective = objective
        self._firsts = [layer.tasks[group.indices[0]] for group in layer.groups]
        # By group, for each task: sums of labels, or rows of each class; sum of rows.
        self._sums = [
            self._kept(len(group.indices), task)
            for group, task in zip(layer.groups, self._firsts, strict=True)
        ]
        self.built = True

    def _kept(self, tasks: int, first: Task) -> Any:
        # A row of each class to begin with: none is impossible.
        width = first.units if isinstance(first, MulticlassTask) else 1
        start = [0.0, 0.0]
        if isinstance(first, BinaryTask | MulticlassTask):
            start = [1.0] * width + [float(max(width, 2))]
        return self.add_weight(
            name="label_sums",
            shape=(tasks, len(start)),
            initializer=lambda shape, dtype: ops.broadcast_to(
                ops.convert_to_tensor(start, dtype=dtype), shape
            ),
            trainable=False,
            aggregation="only_first_replica",
        )

    def update(self, batches: Sequence[GroupBatch]) -> Tensor:
        """Adds the labels of a batch, and returns the losses of constants on it.

        Args:
            batches: One a head group.

        Returns:
            The losses, `(tasks,)`.
        """
        parts = zip(self._firsts, batches, self._sums, strict=True)
        constant = [_constant(*part) for part in parts]
        sums, weights = self._objective.sums(constant)
        weights = over_replicas(weights)
        return over_replicas(sums / ops.where(weights > 0, weights, 1.0))


def _constant(first: Task, batch: GroupBatch, sums: Any) -> GroupBatch:
    """A batch in which each row is predicted the mean of the labels so far."""
    sums.assign_add(over_replicas(ops.cast(_label_sums(first, batch), sums.dtype)))
    totals = ops.convert_to_tensor(sums.value)
    means = totals[:, :-1] / ops.maximum(totals[:, -1:], 1.0)
    outputs = ops.cast(means, batch.logits.dtype)
    logits = outputs
    if isinstance(first, BinaryTask):
        logits = ops.log(outputs) - ops.log1p(-outputs)
    elif isinstance(first, MulticlassTask):
        logits = ops.log(outputs)
    return dataclasses.replace(
        batch, logits=_spread(logits, batch), outputs=_spread(outputs, batch)
    )


def _label_sums(first: Task, batch: GroupBatch) -> Tensor:
    """Sums over rows `(tasks, width + 1)`: of labels or of classes, and of weights."""
    labels, weights = batch.labels[..., None], batch.loss_weights
    if isinstance(first, MulticlassTask):
        labels = ops.one_hot(ops.cast(batch.labels, "int32"), first.units)
    columns = ops.concatenate([labels, ops.ones_like(labels[..., :1])], axis=-1)
    axes = [axis for axis in range(len(labels.shape) - 1) if axis != 1]
    return ops.sum(columns * weights[..., None], axis=axes)


def _spread(values: Tensor, batch: GroupBatch) -> Tensor:
    """Repeats `(tasks, units)` in the shape of logits `(batch, tasks, ..., units)`."""
    between = (1,) * (len(batch.logits.shape) - 3)
    values = ops.reshape(values, (1, values.shape[0], *between, values.shape[1]))
    return ops.broadcast_to(values, ops.shape(batch.logits))
