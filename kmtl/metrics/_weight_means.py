"""The mean weights of tasks over the steps of an epoch."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from kmtl._typing import Tensor


class WeightMeans(keras.metrics.Metric):
    """Means of the weights of tasks over the steps in which they counted.

    Args:
        tasks: Names of the tasks.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(name="task_weights")
        self.tasks = tuple(tasks)
        self._sums = self.add_weight(
            name="sums", shape=(3, len(self.tasks)), initializer="zeros"
        )

    def update_state(self, weights: Tensor, present: Tensor) -> None:
        """Adds a step; both are `(tasks,)`."""
        rows = ops.stack([weights * present, present, ops.ones_like(present)])
        self._sums.assign_add(ops.cast(rows, self._sums.dtype))

    @property
    def has_steps(self) -> bool:
        """Whether there was a step since the last reset."""
        return bool(ops.convert_to_numpy(self._sums)[2].any())

    def result(self) -> dict[str, float]:
        """Returns `<task>_weight`; NaN for a task that never counted."""
        sums, counts, _ = ops.convert_to_numpy(self._sums)
        means = np.where(counts > 0, sums, np.nan) / np.maximum(counts, 1)
        names = [f"{task}_weight" for task in self.tasks]
        return {name: float(v) for name, v in zip(names, means, strict=True)}
