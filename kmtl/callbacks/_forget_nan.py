"""Keeps NaN from being the best value of a callback."""

import math
from collections.abc import Sequence
from typing import Any

import keras


class ForgetNaN(keras.callbacks.Callback):
    """Makes callbacks forget a best value that is NaN; `fit` adds it after them.

    Keras takes the first value for the best, and nothing is better than NaN: training
    that starts with one would stop, and nothing after it would be saved.

    Args:
        monitors: Callbacks that keep a best value.
    """

    def __init__(self, monitors: Sequence[Any]) -> None:
        super().__init__()
        self._monitors = monitors

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        del epoch, logs
        for monitor in self._monitors:
            if monitor.best is not None and math.isnan(monitor.best):
                monitor.best = None
