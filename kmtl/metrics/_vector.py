"""Metrics of many tasks at once, from sums over rows.

A vector metric keeps one row of numbers a task, adds to them batch by batch in the
graph, and turns them into values on the host at the end of an epoch.
"""

import abc
from typing import ClassVar

import numpy as np
from keras import ops

from kmtl._objective import GroupBatch
from kmtl._typing import Tensor


class VectorMetric(abc.ABC):
    """A metric of the tasks of one head group; its state is `(tasks, width)`.

    Args:
        tasks: The number of tasks.
        replicas: The number of replicas whose states are added.
    """

    name: ClassVar[str]
    width: int
    direction: ClassVar[str] = "min"  # which way is better
    dtype: ClassVar[str] = "float64"  # an epoch adds millions of rows

    def __init__(self, tasks: int, replicas: int = 1) -> None:
        self.tasks = tasks
        self.replicas = replicas

    @abc.abstractmethod
    def update(self, state: Tensor, batch: GroupBatch, scale: Tensor) -> Tensor:
        """Returns the state after a batch.

        Args:
            state: Tensor `(tasks, width)`, zeros at the start of an epoch.
            batch: Labels, weights and outputs of the tasks.
            scale: Tensor `(tasks,)`: the label's own unit per unit of `batch.labels`.
        """

    @abc.abstractmethod
    def result(self, state: np.ndarray) -> np.ndarray:
        """Returns one value a task, NaN where no labelled row was seen."""


class Accuracy(VectorMetric):
    """The weighted share of rows whose most probable class is the label."""

    name = "accuracy"
    direction = "max"
    width = 2

    def update(self, state: Tensor, batch: GroupBatch, scale: Tensor) -> Tensor:
        del scale
        if batch.outputs.shape[-1] == 1:
            predicted = batch.outputs[..., 0] > 0.5
        else:
            predicted = ops.argmax(batch.outputs, axis=-1)
        hit = ops.cast(predicted, "int32") == ops.cast(batch.labels, "int32")
        return state + _sums(batch.weights, ops.cast(hit, batch.weights.dtype))

    def result(self, state: np.ndarray) -> np.ndarray:
        return _divide(state[:, 1], state[:, 0])


class _ErrorMetric(VectorMetric):
    """A metric of sums of some power of the error; abstract."""

    width = 2

    @staticmethod
    @abc.abstractmethod
    def _measure(error: Tensor) -> Tensor:
        """Maps errors in the label's own unit to what is averaged."""

    def update(self, state: Tensor, batch: GroupBatch, scale: Tensor) -> Tensor:
        shape = (1, -1) + (1,) * (len(batch.labels.shape) - 2)
        error = (batch.outputs[..., 0] - batch.labels) * ops.reshape(scale, shape)
        return state + _sums(batch.weights, self._measure(error))

    def result(self, state: np.ndarray) -> np.ndarray:
        return _divide(state[:, 1], state[:, 0])


class MeanAbsoluteError(_ErrorMetric):
    """The weighted mean of absolute errors, in the label's own unit."""

    name = "mae"
    _measure = staticmethod(ops.abs)


class MeanSquaredError(_ErrorMetric):
    """The weighted mean of squared errors, in the label's own unit squared."""

    name = "mse"
    _measure = staticmethod(ops.square)


class RootMeanSquaredError(_ErrorMetric):
    """The root of the weighted mean of squared errors, in the label's own unit."""

    name = "rmse"
    _measure = staticmethod(ops.square)

    def result(self, state: np.ndarray) -> np.ndarray:
        return np.sqrt(super().result(state))


class R2(VectorMetric):
    """The share of the labels' variance that is explained; 0 for the mean predictor."""

    name = "r2"
    direction = "max"
    width = 4

    def update(self, state: Tensor, batch: GroupBatch, scale: Tensor) -> Tensor:
        del scale  # R2 does not depend on the unit
        squared_error = ops.square(batch.outputs[..., 0] - batch.labels)
        labels = ops.cast(batch.labels, "float64")  # squares far from 0 need the digits
        return state + _sums(batch.weights, labels, ops.square(labels), squared_error)

    def result(self, state: np.ndarray) -> np.ndarray:
        weight, labels, squares, errors = state.T
        spread = squares - _divide(labels**2, weight)
        return 1.0 - _divide(errors, np.where(spread > 0, spread, 0.0))


def _sums(weights: Tensor, *values: Tensor) -> Tensor:
    """Sums weights and weighted values over all axes but that of tasks: `(t, 1+n)`."""
    axes = [axis for axis in range(len(weights.shape)) if axis != 1]
    weights = ops.cast(weights, "float64")
    weighted = [weights * ops.cast(value, "float64") for value in values]
    return ops.stack([ops.sum(v, axis=axes) for v in (weights, *weighted)], axis=1)


def _divide(numerators: np.ndarray, denominators: np.ndarray) -> np.ndarray:
    """Divides; NaN where the denominator is 0."""
    known = denominators != 0
    result = np.full(numerators.shape, np.nan)
    return np.divide(numerators, denominators, out=result, where=known)
