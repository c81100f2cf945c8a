"""A strength of soft sharing that follows a schedule."""

from collections.abc import Callable
from typing import Any

import keras


class SharingStrength(keras.callbacks.Callback):
    """Sets the strength of soft sharing at the start of each epoch.

    The model is not compiled anew, and the last strength is saved with it.

    Args:
        schedule: A function of the epoch, counted from 0, that returns the strength, a
            number of at least 0.

    Example:
        >>> import kmtl
        >>> loosen = kmtl.callbacks.SharingStrength(lambda epoch: 0.1 * 0.5**epoch)
    """

    def __init__(self, schedule: Callable[[int], float]) -> None:
        super().__init__()
        if not callable(schedule):
            raise TypeError(
                "`schedule` must be a function from the epoch to a strength. "
                f"Received: {schedule!r}."
            )
        self.schedule = schedule

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        del logs
        self.model.sharing_strength = self.schedule(epoch)
