"""Loss weights that follow a schedule."""

from collections.abc import Callable
from typing import Any

import keras

from kmtl._typing import ByTask


class LossWeightSchedule(keras.callbacks.Callback):
    """Sets the loss weights at the start of each epoch.

    They multiply the weights that `balancing` gives, if there is a method.

    Args:
        schedule: A function of the epoch, counted from 0, that returns loss weights by
            task name. Tasks it leaves out keep theirs.

    Example:
        >>> import kmtl
        >>> warm_up = kmtl.callbacks.LossWeightSchedule(
        ...     lambda epoch: {"hint": max(0.0, 1.0 - epoch / 10)}
        ... )
    """

    def __init__(self, schedule: Callable[[int], ByTask]) -> None:
        super().__init__()
        if not callable(schedule):
            raise TypeError(
                "`schedule` must be a function from the epoch to loss weights by task "
                f"name. Received: {schedule!r}."
            )
        self.schedule = schedule

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        del logs
        self.model.loss_weights = self.schedule(epoch)
