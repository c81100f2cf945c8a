"""Keras' progress bar with live metrics, and with means where tasks are many."""

import math
import time
from collections.abc import Mapping
from typing import Any

import keras

# As many numbers as fit on a line.
_MOST_SHOWN = 8
_SECONDS_BETWEEN_LOOKS = 0.5


class ProgressBar(keras.callbacks.ProgbarLogger):
    """Shows every loss and metric of a few tasks, or their means over many.

    `fit` and `evaluate` add it in place of Keras' own; the full values are in the
    history and in what `evaluate` returns.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last_look = 0.0
        self._shown: dict[str, float] = {}

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._shown = {}
        self._last_look = time.monotonic()
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        del logs  # the total only
        super().on_train_batch_end(batch, self._look())

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        del logs
        super().on_test_batch_end(batch, self._look())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_end(epoch, self._summary(logs))

    def on_test_end(self, logs: Any = None) -> None:
        super().on_test_end(self._summary(logs))

    def _look(self) -> dict[str, float]:
        """Reads the metrics now and then: reading makes the host wait for the step."""
        if self.verbose == 1 and (
            time.monotonic() - self._last_look > _SECONDS_BETWEEN_LOOKS
        ):
            self._shown = self._summary(self.model.get_metrics_result())
            self._last_look = time.monotonic()
        return self._shown

    def _summary(self, logs: Mapping[str, Any] | None) -> dict[str, float]:
        logs = logs or {}
        suffixes = self.model.task_metrics.suffixes
        if len(suffixes) <= _MOST_SHOWN:
            return dict(logs)
        # A balancing method adds the weight of each task.
        weights = {f"{name}_weight": "weight" for name in self.model.task_names}
        suffixes = suffixes | weights
        means: dict[str, list[float]] = {}
        for name, value in logs.items():
            means.setdefault(_group(name, suffixes), []).append(float(value))
        return {name: _mean_of_known(values) for name, values in means.items()}


def _group(name: str, suffixes: Mapping[str, str]) -> str:
    plain = name.removeprefix("val_")
    suffix = suffixes.get(plain)
    return name if suffix is None else f"{name[: -len(plain)]}mean_{suffix}"


def _mean_of_known(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
