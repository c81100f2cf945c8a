"""The losses of predictions that do not depend on the inputs."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kmtl._objective import GroupBatch, Objective
from kmtl._replicas import over_replicas
from kmtl._typing import Tensor
from kmtl.layers import TaskOutputs
from kmtl.layers._state import add_state
from kmtl.tasks import BinaryTask, MulticlassTask, Task


class ConstantLosses(keras.layers.Layer):
    """Estimates the losses of the best constant predictions.

    The constant is the mean of the labels of all steps so far: the share of each class,
    or a number. It is the best one for cross entropy and squared errors, and near it
    for most other losses.

    It is no layer of a graph: a layer is what Keras saves as a part of a model.

    Args:
        layer: The output layer, which knows tasks and head groups.
    """

    def __init__(self, layer: TaskOutputs) -> None:
        super().__init__(name="constant_losses", dtype="float64", trainable=False)
        self._objective = Objective(layer)
        self._names = [
            [task.name for task in group.members(layer.tasks)] for group in layer.groups
        ]
        self._firsts = [layer.tasks[group.indices[0]] for group in layer.groups]
        starts = [
            [no_labels(task, rows=1.0)] * len(names)
            for task, names in zip(self._firsts, self._names, strict=True)
        ]
        self._sums = [
            add_state(self, "label_sums", start, aggregation="only_first_replica")
            for start in starts
        ]
        self.built = True

    def update(self, batches: Sequence[GroupBatch]) -> Tensor:
        """Adds the labels of a batch, and returns the losses of constants on it.

        Args:
            batches: One a head group.

        Returns:
            The losses, `(tasks,)`.
        """
        parts = zip(self._firsts, batches, self._sums, strict=True)
        constant = [_add(*part) for part in parts]
        sums, weights = self._objective.sums(constant)
        weights = over_replicas(weights)
        return over_replicas(sums / ops.where(weights > 0, weights, 1.0))

    def carry(self, other: "ConstantLosses") -> None:
        """Takes over what the other has seen of tasks that both know."""
        known = other.sums_by_task()
        for names, sums in zip(self._names, self._sums, strict=True):
            start = zip(names, ops.convert_to_numpy(sums), strict=True)
            sums.assign(np.stack([known.get(name, row) for name, row in start]))

    def sums_by_task(self) -> dict[str, np.ndarray]:
        """Returns the sums of labels by task name, see `label_sums`."""
        parts = zip(self._names, self._sums, strict=True)
        return {
            name: row
            for names, sums in parts
            for name, row in zip(names, ops.convert_to_numpy(sums), strict=True)
        }

    def load_own_variables(self, store: Any) -> None:
        """Loads the sums, if the file is that of a model that has them."""
        if store.keys():
            super().load_own_variables(store)


def _add(first: Task, batch: GroupBatch, sums: Any) -> GroupBatch:
    """Adds the labels of a batch, and predicts the mean so far in it."""
    sums.assign_add(over_replicas(ops.cast(label_sums(first, batch), sums.dtype)))
    return constant_batch(first, batch, ops.convert_to_tensor(sums.value))


def no_labels(first: Task, *, rows: float) -> list[float]:
    """Returns `label_sums` of a task before the first label, `(width + 1,)`.

    Args:
        first: The task.
        rows: How many rows of each class to begin with: no class is impossible.
    """
    if not isinstance(first, BinaryTask | MulticlassTask):
        return [0.0, 0.0]
    width = first.units if isinstance(first, MulticlassTask) else 1
    return [rows] * width + [rows * max(width, 2)]


def label_sums(first: Task, batch: GroupBatch) -> Tensor:
    """Sums over rows, by task, `(tasks, width + 1)`.

    Args:
        first: The first task of a head group.
        batch: Its batch.

    Returns:
        Sums of labels, or of the weights of the rows of each class; then of weights.
    """
    labels, weights = batch.labels[..., None], batch.loss_weights
    if isinstance(first, MulticlassTask):
        labels = ops.one_hot(ops.cast(batch.labels, "int32"), first.units)
    columns = ops.concatenate([labels, ops.ones_like(labels[..., :1])], axis=-1)
    axes = [axis for axis in range(len(labels.shape) - 1) if axis != 1]
    return ops.sum(columns * weights[..., None], axis=axes)


def constant_batch(first: Task, batch: GroupBatch, sums: Tensor) -> GroupBatch:
    """Predicts the mean of labels in each row.

    Args:
        first: The first task of a head group.
        batch: Its batch.
        sums: Sums of labels, see `label_sums`, float64.
    """
    totals = sums[:, -1:]
    outputs = sums[:, :-1] / ops.where(totals > 0, totals, 1.0)
    logits = outputs
    if isinstance(first, BinaryTask):
        logits = ops.log(outputs) - ops.log1p(-outputs)
    elif isinstance(first, MulticlassTask):
        logits = ops.log(outputs)
    return dataclasses.replace(
        batch, logits=_spread(logits, batch), outputs=_spread(outputs, batch)
    )


def _spread(values: Tensor, batch: GroupBatch) -> Tensor:
    """Repeats `(tasks, units)` in the shape of logits `(batch, tasks, ..., units)`."""
    between = (1,) * (len(batch.logits.shape) - 3)
    values = ops.cast(values, batch.logits.dtype)
    values = ops.reshape(values, (1, values.shape[0], *between, values.shape[1]))
    return ops.broadcast_to(values, ops.shape(batch.logits))
