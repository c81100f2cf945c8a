"""How steps for single tasks change the losses of all, over the steps of an epoch."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kmtl._typing import Tensor


class AffinityRecord(keras.metrics.Metric):
    """Means over steps of the affinity of each pair of tasks.

    Args:
        tasks: Names of the tasks.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(name="affinity")
        self._sums, self._counts = (
            self._zeros(name, (len(tasks),) * 2) for name in ("sums", "counts")
        )

    def _zeros(self, name: str, shape: tuple[int, ...]) -> Any:
        return self.add_weight(name=name, shape=shape, initializer="zeros")

    def update_state(self, affinity: Tensor) -> None:
        """Adds a step.

        Args:
            affinity: `(tasks, tasks)`; NaN for pairs that do not count.
        """
        counts = ops.isfinite(affinity)
        known = ops.where(counts, affinity, ops.zeros_like(affinity))
        self._sums.assign_add(ops.cast(known, self._sums.dtype))
        self._counts.assign_add(ops.cast(counts, self._counts.dtype))

    def result(self) -> np.ndarray:
        """Returns the means `(tasks, tasks)`; NaN where a pair never counted."""
        sums, counts = map(ops.convert_to_numpy, (self._sums, self._counts))
        return np.where(counts > 0, sums, np.nan) / np.where(counts > 0, counts, 1)
