"""The area under the ROC curve of many tasks at once."""

import numpy as np
from keras import ops

from kmtl._objective import GroupBatch
from kmtl._typing import Tensor
from kmtl.metrics._vector import VectorMetric

_BINS = 1024
# Logits this many spreads away from the centre still fall into bins of their own.
_REACH = float(np.arcsinh(1e5))
_SMALLEST_SPREAD = 1e-3


class AUC(VectorMetric):
    """Area under the ROC curve, from a histogram of the logits.

    The 200 thresholds of `keras.metrics.AUC` are evenly spaced probabilities, too few
    for rare labels, whose scores all lie near 0. Here the 1,024 bins are spaced by
    `asinh` around the mean of the first batch's logits in units of their standard
    deviation: fine where the scores are and wide enough for where they go. The error
    is below 1e-4 unless scores tie.
    """

    name = "auc"
    direction = "max"
    dtype = "float32"  # exact up to 16.7 million rows a bin
    width = 2 + 2 * _BINS  # centre, spread, negatives by bin, positives by bin

    def update(self, state: Tensor, batch: GroupBatch, scale: Tensor) -> Tensor:
        del scale
        tasks = state.shape[0]
        logits, labels, weights = (
            ops.reshape(ops.swapaxes(value, 0, 1), (tasks, -1))
            for value in (batch.logits[..., 0], batch.labels, batch.weights)
        )
        centre, spread = _frame_of_bins(state, logits, weights)
        divisor = ops.where(spread > 0, spread, ops.ones_like(spread))
        position = ops.arcsinh((logits - centre) / divisor) / _REACH  # -1 ... 1
        bins = ops.cast((position + 1.0) * (_BINS / 2), "int32")
        bins = ops.clip(bins, 0, _BINS - 1) + _BINS * ops.cast(labels > 0.5, "int32")
        bins = bins + 2 * _BINS * ops.expand_dims(ops.arange(tasks), 1)
        counts = ops.segment_sum(
            ops.reshape(weights, (-1,)), ops.reshape(bins, (-1,)), tasks * 2 * _BINS
        )
        counts = ops.cast(ops.reshape(counts, (tasks, -1)), state.dtype)
        head = ops.cast(ops.concatenate([centre, spread], axis=1), state.dtype)
        return ops.concatenate([head, state[:, 2:] + counts], axis=1)

    def result(self, state: np.ndarray) -> np.ndarray:
        negatives, positives = state[:, 2 : 2 + _BINS], state[:, 2 + _BINS :]
        below = np.cumsum(negatives, axis=1) - negatives
        # A pair in one bin counts one half, as a tie does.
        pairs = np.sum(positives * (below + 0.5 * negatives), axis=1)
        total = positives.sum(axis=1) * negatives.sum(axis=1)
        result = np.full(total.shape, np.nan)
        return np.divide(pairs, total, out=result, where=total > 0)


def _frame_of_bins(
    state: Tensor, logits: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns centre and spread, `(tasks, 1)` each: the first ones seen in the epoch.

    The spread is 0 as long as no labelled row was seen; nothing is counted till then.
    """
    total = ops.sum(weights, axis=1, keepdims=True)
    divisor = ops.where(total > 0, total, ops.ones_like(total))
    mean = ops.sum(weights * logits, axis=1, keepdims=True) / divisor
    variance = ops.sum(weights * ops.square(logits - mean), axis=1, keepdims=True)
    spread = ops.maximum(ops.sqrt(variance / divisor), _SMALLEST_SPREAD)
    spread = ops.where(total > 0, spread, ops.zeros_like(spread))
    old_centre, old_spread = (
        ops.cast(state[:, i : i + 1], logits.dtype) for i in (0, 1)
    )
    seen = old_spread > 0
    return ops.where(seen, old_centre, mean), ops.where(seen, old_spread, spread)
