"""From packed labels and stacked logits to one loss a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from kmtl._head_groups import conditions
from kmtl._row_losses import RowLoss, row_losses
from kmtl._typing import Tensor
from kmtl.layers import TaskOutputs
from kmtl.tasks import BinaryTask, MulticlassTask, RegressionTask, Task


@dataclass(frozen=True)
class GroupBatch:
    """One head group of one batch, missing labels filled and weighted 0.

    Attributes:
        labels: `(batch, tasks, ...)`; standardised for standardised regressions.
        weights: `(batch, tasks, ...)`, the weights of rows, 0 where a label is missing.
        loss_weights: The same times the class weights.
        logits: `(batch, tasks, ..., units)`.
        outputs: Probabilities, or values in the unit of `labels`.
    """

    labels: Tensor
    weights: Tensor
    loss_weights: Tensor
    logits: Tensor
    outputs: Tensor


class Objective:
    """Computes the losses of all tasks from one batch.

    Args:
        layer: The output layer, which knows tasks and head groups.
    """

    def __init__(self, layer: TaskOutputs) -> None:
        self._layer = layer
        self._members = [group.members(layer.tasks) for group in layer.groups]
        self._losses = [row_losses(members) for members in self._members]
        grouped = [index for group in layer.groups for index in group.indices]
        self._order = sorted(range(len(grouped)), key=grouped.__getitem__)

    def batches(self, y: Mapping[str, Any], logits: Sequence[Tensor]) -> list[Any]:
        """Pairs packed labels with the logits of each head group.

        Args:
            y: Packed labels, see `kmtl.data`.
            logits: The inputs of the output layer.

        Returns:
            One `GroupBatch` a head group.
        """
        stacked = self._layer.stack(logits)
        return [
            _group_batch(members[0], _labels_of(y, i), stacked[i])
            for i, members in enumerate(self._members)
        ]

    def given(self, y: Mapping[str, Any]) -> Tensor | None:
        """Returns the labels that the heads of other tasks see in training.

        Args:
            y: Packed labels, see `kmtl.data`.

        Returns:
            Tensor `(batch, tasks conditioned on)`, NaN where missing; `None` without
            such tasks.
        """
        columns = [
            y["labels"][number][:, group.indices.index(index)]
            for index in conditions(self._layer.tasks)
            for number, group in enumerate(self._layer.groups)
            if index in group.indices
        ]
        return ops.stack(columns, axis=-1) if columns else None

    def sums(self, batches: Sequence[GroupBatch]) -> tuple[Tensor, Tensor]:
        """Returns weighted sums of the losses and sums of weights, each `(tasks,)`."""
        parts = [
            _group_sums(losses, batch)
            for losses, batch in zip(self._losses, batches, strict=True)
        ]
        numerators, denominators = zip(*parts, strict=True)
        return self._in_task_order(numerators), self._in_task_order(denominators)

    def own_sums(
        self, y: Mapping[str, Any], own: Sequence[Tensor], tasks: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns what `sums` does, where each row belongs to one task.

        Args:
            y: Packed labels, see `kmtl.data`.
            own: Logits `(batch, 1, units)`, one tensor a head group.
            tasks: The task of each row, by position, `(batch,)`.
        """
        count = len(self._layer.tasks)
        numerators = denominators = 0.0
        stacked = [ops.cast(logits, self._layer.compute_dtype) for logits in own]
        for number, (group, losses) in enumerate(
            zip(self._layer.groups, self._losses, strict=True)
        ):
            place_of = {index: place for place, index in enumerate(group.indices)}
            places = ops.take([place_of.get(i, -1) for i in range(count)], tasks)
            packed = _own_column(_labels_of(y, number), places)
            batch = _group_batch(self._members[number][0], packed, stacked[number])
            values = _own_values(losses, batch, places)
            weights = batch.loss_weights[:, 0]
            numerators += ops.segment_sum(weights * values, tasks, count)
            denominators += ops.segment_sum(weights, tasks, count)
        return numerators, denominators

    def _in_task_order(self, parts: Sequence[Tensor]) -> Tensor:
        joined = ops.concatenate(parts)
        if self._order == list(range(len(self._order))):
            return joined
        return ops.take(joined, self._order)


def _labels_of(y: Mapping[str, Any], group: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns labels, row weights and class weights of a group; None where absent."""
    weights = y["weights"][group] if "weights" in y else y.get("row_weights")
    classes = y["class_weights"][group] if "class_weights" in y else None
    return y["labels"][group], weights, classes


def _own_column(
    packed: tuple[Tensor, Tensor | None, Tensor | None], places: Tensor
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Takes one column a row out of labels and weights; no label where it is -1."""
    is_here = ops.expand_dims(places >= 0, -1)
    columns = ops.maximum(places, 0)

    def take(values: Tensor | None) -> Tensor | None:
        if values is None or len(values.shape) == 1:
            return values
        # `take_along_axis` copies all columns first.
        starts = ops.arange(ops.shape(values)[0], dtype=columns.dtype) * values.shape[1]
        return ops.expand_dims(ops.take(values, starts + columns), -1)

    labels, *weights = map(take, packed)
    nothing = ops.full_like(labels, float("nan"))
    return (ops.where(is_here, labels, nothing), *weights)


def _own_values(
    losses: Sequence[tuple[list[int], RowLoss]], batch: GroupBatch, places: Tensor
) -> Tensor:
    """Returns the loss of each row, 0 without a label, `(batch,)`."""
    total = ops.zeros_like(batch.loss_weights[:, 0])
    count = sum(len(positions) for positions, _ in losses)
    for positions, loss in losses:
        is_of_loss = ops.take(np.isin(range(count), positions), ops.maximum(places, 0))
        counts = ops.logical_and(is_of_loss, batch.loss_weights[:, 0] > 0)
        # Before the loss too: it may have no gradient at numbers of another task, and
        # 0 times that is NaN.
        logits, outputs = (_only(counts, t) for t in (batch.logits, batch.outputs))
        values = loss(batch.labels, logits, outputs)[:, 0]
        total = ops.where(counts, values, total)
    return total


def _only(counts: Tensor, by_row: Tensor) -> Tensor:
    """Puts zeros in rows that do not count."""
    wide = ops.reshape(counts, (-1, *[1] * (len(by_row.shape) - 1)))
    return ops.where(wide, by_row, ops.zeros_like(by_row))


def _group_batch(
    first: Task, packed: tuple[Tensor, Tensor, Tensor], logits: Tensor
) -> GroupBatch:
    labels, weights, class_weights = packed
    labels = ops.cast(labels, logits.dtype)
    if isinstance(first, RegressionTask) and len(labels.shape) == len(logits.shape):
        logits = ops.expand_dims(logits, -1)  # a vector of numbers: each is an element
    present = ops.logical_not(ops.isnan(labels))
    mask = ops.cast(present, labels.dtype)
    weights = mask if weights is None else mask * _like(weights, labels)
    labels = ops.where(present, labels, _placeholder(first, labels, mask))
    return GroupBatch(
        labels=labels,
        weights=weights,
        loss_weights=(
            weights if class_weights is None else weights * _like(class_weights, labels)
        ),
        logits=logits,
        outputs=_outputs(first, logits),
    )


def _like(weights: Tensor, labels: Tensor) -> Tensor:
    """Gives weights `(batch[, tasks[, ...]])` the rank and dtype of the labels."""
    missing = len(labels.shape) - len(weights.shape)
    shape = (-1, *weights.shape[1:]) + (1,) * missing
    return ops.cast(ops.reshape(weights, shape), labels.dtype)


def _placeholder(first: Task, labels: Tensor, mask: Tensor) -> Tensor:
    """A legal label for missing ones: losses like Poisson's are infinite at others."""
    if not isinstance(first, RegressionTask):
        return ops.zeros_like(labels)
    known = ops.where(mask > 0, labels, ops.zeros_like(labels))
    axes = [axis for axis in range(len(labels.shape)) if axis != 1]
    count = ops.sum(mask, axis=axes, keepdims=True)
    mean = ops.sum(known, axis=axes, keepdims=True) / ops.maximum(count, 1.0)
    return ops.where(count > 0, mean, 0.5 * ops.ones_like(mean))


def _outputs(first: Task, logits: Tensor) -> Tensor:
    if isinstance(first, BinaryTask):
        return ops.sigmoid(logits)
    if isinstance(first, MulticlassTask):
        return ops.softmax(logits, axis=-1)
    return logits


def _group_sums(
    losses: Sequence[tuple[list[int], RowLoss]], batch: GroupBatch
) -> tuple[Tensor, Tensor]:
    weights = batch.loss_weights
    axes = [axis for axis in range(len(weights.shape)) if axis != 1]
    denominators = ops.sum(weights, axis=axes)
    if len(losses) == 1:
        values = losses[0][1](batch.labels, batch.logits, batch.outputs)
        return _weighted_sum(values, weights, axes), denominators
    numerators, order = [], []
    for positions, loss in losses:
        order.extend(positions)
        labels, logits, outputs, part = (
            ops.take(tensor, positions, axis=1)
            for tensor in (batch.labels, batch.logits, batch.outputs, weights)
        )
        numerators.append(_weighted_sum(loss(labels, logits, outputs), part, axes))
    back = sorted(range(len(order)), key=order.__getitem__)
    return ops.take(ops.concatenate(numerators), back), denominators


def _weighted_sum(values: Tensor, weights: Tensor, axes: list[int]) -> Tensor:
    values = ops.where(weights > 0, values, ops.zeros_like(values))
    return ops.sum(weights * values, axis=axes)
