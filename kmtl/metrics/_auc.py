"""The area under the ROC curve of many tasks at once."""

import numpy as np
from keras import ops

from kmtl._objective import GroupBatch
from kmtl._typing import Tensor
from kmtl.metrics._vector import VectorMetric

# Bins a task, between these two, and about this many over all tasks: the histograms are
# added up each step, which must stay cheap beside the step itself.
_FEWEST, _MOST, _ALL = 1024, 8192, 2**19
# Logits this many spreads away from the centre still fall into bins of their own.
_REACH = float(np.arcsinh(1e3))
_SMALLEST_SPREAD = 1e-3


class AUC(VectorMetric):
    """Area under the ROC curve, from a histogram of the logits.

    The 200 thresholds of `keras.metrics.AUC` are evenly spaced probabilities, too few
    for rare labels, whose scores all lie near 0. Here 8,192 bins a task, down to 1,024
    with many tasks, are spaced by `asinh` around the mean of the first batch's logits
    in units of their standard deviation: fine where the scores are, and wide enough
    for where they go. Pairs in one bin count one half, as ties do. The error is below
    1e-4 on 2,000 rows and falls with more rows.
    """

    name = "auc"
    direction = "max"
    dtype = "float32"  # exact up to 16.7 million rows a bin

    def __init__(self, tasks: int) -> None:
        super().__init__(tasks)
        share = 2 ** int(np.log2(_ALL / tasks))
        self.bins = min(max(share, _FEWEST), _MOST)
        self.width = 2 + 2 * self.bins  # centre, spread, negatives, positives

    def update(self, state: Tensor, batch: GroupBatch, scale: Tensor) -> Tensor:
        del scale
        tasks, n = self.tasks, self.bins
        logits, labels, weights = (
            ops.reshape(ops.swapaxes(value, 0, 1), (tasks, -1))
            for value in (batch.logits[..., 0], batch.labels, batch.weights)
        )
        centre, spread = _frame_of_bins(state, logits, weights)
        divisor = ops.where(spread > 0, spread, ops.ones_like(spread))
        position = ops.arcsinh((logits - centre) / divisor) / _REACH  # -1 ... 1
        bins = ops.cast((position + 1.0) * (n / 2), "int32")
        bins = ops.clip(bins, 0, n - 1) + n * ops.cast(labels > 0.5, "int32")
        bins = bins + 2 * n * ops.expand_dims(ops.arange(tasks), 1)
        counts = ops.segment_sum(
            ops.reshape(weights, (-1,)), ops.reshape(bins, (-1,)), tasks * 2 * n
        )
        counts = ops.cast(ops.reshape(counts, (tasks, -1)), state.dtype)
        head = ops.cast(ops.concatenate([centre, spread], axis=1), state.dtype)
        return ops.concatenate([head, state[:, 2:] + counts], axis=1)

    def result(self, state: np.ndarray) -> np.ndarray:
        negatives, positives = np.split(state[:, 2:].astype("float64"), 2, axis=1)
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
