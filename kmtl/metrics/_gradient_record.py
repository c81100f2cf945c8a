"""How the gradients of tasks agree, over the steps of an epoch."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kmtl._typing import Tensor

KINDS = ("cosine", "magnitude_similarity", "conflict")


class GradientRecord(keras.metrics.Metric):
    """Means over steps of what a Gramian says of each pair of tasks.

    The cosine of their gradients; the similarity of their lengths,
    `2 |g_i| |g_j| / (|g_i|^2 + |g_j|^2)`, which is 1 for equal ones; and whether the
    cosine is negative. A pair counts in steps in which both gradients are not 0.

    Args:
        tasks: Names of the tasks.

    Reference:
        Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020,
        https://arxiv.org/abs/2001.06782, definitions 1 and 2.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(name="gradients")
        self.tasks = tuple(tasks)
        count = len(self.tasks)
        self._sums = self._zeros("sums", (len(KINDS), count, count))
        self._counts = self._zeros("counts", (count, count))

    def _zeros(self, name: str, shape: tuple[int, ...]) -> Any:
        return self.add_weight(name=name, shape=shape, initializer="zeros")

    def update_state(self, gramian: Tensor) -> None:
        """Adds a step.

        Args:
            gramian: Inner products of the tasks' gradients, `(tasks, tasks)`; 0 in the
                rows of tasks that do not count.
        """
        counts, values = pairs(gramian)
        self._sums.assign_add(ops.cast(values, self._sums.dtype))
        self._counts.assign_add(ops.cast(counts, self._counts.dtype))

    def matrices(self) -> dict[str, np.ndarray]:
        """Returns the means of each pair `(tasks, tasks)`; NaN where it never counted.

        Keys are those of `KINDS`.
        """
        sums, counts = map(ops.convert_to_numpy, (self._sums, self._counts))
        seen = counts > 0
        means = np.where(seen, sums, np.nan) / np.where(seen, counts, 1)
        return dict(zip(KINDS, means, strict=True))

    def result(self) -> dict[str, float]:
        """Returns the means over steps and pairs of different tasks."""
        sums, counts = map(ops.convert_to_numpy, (self._sums, self._counts))
        others = ~np.eye(len(self.tasks), dtype=bool)
        total = counts[others].sum()
        means = sums[:, others].sum(axis=1) / total if total else [np.nan] * len(KINDS)
        return {f"gradient_{k}": float(v) for k, v in zip(KINDS, means, strict=True)}


class ConditionRecord(keras.metrics.Mean):
    """The geometric mean over steps of the condition number of the Gramian."""

    def __init__(self) -> None:
        super().__init__(name="condition_number")

    def update_state(self, gramian: Tensor) -> None:
        """Adds a step; see `GradientRecord.update_state`."""
        counts, logarithm = log_condition(gramian)
        super().update_state(logarithm, sample_weight=counts)

    def result(self) -> float:
        """Returns the mean; NaN if no step counted."""
        total, count = map(ops.convert_to_numpy, (self.total, self.count))
        return float(np.exp(total / count)) if count > 0 else float("nan")


def log_condition(gramian: Tensor) -> tuple[Tensor, Tensor]:
    """Computes the logarithm of the condition number of a Gramian.

    Args:
        gramian: Inner products, `(tasks, tasks)`; tasks without a finite gradient that
            is not 0 are left out.

    Returns:
        1 if a task is left, else 0; and the logarithm of the largest by the smallest
        eigenvalue, at most that of what can be told from 0.
    """
    squares = ops.diagonal(gramian)
    usable = (squares > 0) & ops.isfinite(squares)
    both = usable[:, None] & usable[None, :]
    # Each task that is left out adds an eigenvalue of 0, below all others.
    values = ops.linalg.eigh(ops.where(both, gramian, ops.zeros_like(gramian)))[0]
    missing = ops.sum(ops.cast(~usable, "int32"))
    any_left = ops.any(usable)
    largest = ops.where(any_left, values[-1], ops.ones_like(values[-1]))
    place = ops.minimum(missing, values.shape[0] - 1)
    epsilon = np.finfo(keras.backend.standardize_dtype(gramian.dtype)).eps
    smallest = ops.maximum(ops.take(values, place), epsilon * largest)
    smallest = ops.where(any_left, smallest, ops.ones_like(smallest))
    return ops.cast(any_left, gramian.dtype), ops.log(largest / smallest)


def pairs(gramian: Tensor) -> tuple[Tensor, Tensor]:
    """Compares the gradients of each pair of tasks.

    Args:
        gramian: Inner products, `(tasks, tasks)`.

    Returns:
        1 where both gradients are finite and not 0, else 0, `(tasks, tasks)`; and what
        `KINDS` names, `(kinds, tasks, tasks)`, 0 where not.
    """
    squares = ops.diagonal(gramian)
    usable = (squares > 0) & ops.isfinite(squares)
    lengths = ops.sqrt(ops.where(usable, squares, ops.ones_like(squares)))
    both = usable[:, None] & usable[None, :]
    products = ops.where(both, gramian, ops.zeros_like(gramian))
    cosines = products / lengths[:, None] / lengths[None, :]
    # Of the ratio of the lengths: their squares may leave the range of a number.
    ratios = lengths[:, None] / lengths[None, :]
    similarity = 2.0 / (ratios + 1.0 / ratios)
    counts = ops.cast(both, gramian.dtype)
    conflict = ops.cast(cosines < 0, gramian.dtype)
    return counts, ops.stack([cosines, similarity * counts, conflict])
