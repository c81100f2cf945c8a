"""Tells a balancing method which epoch it is."""

from typing import Any

import keras


class EpochCounter(keras.callbacks.Callback):
    """Counts the epochs in the state of the model's balancing method; `fit` adds it."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        del epoch, logs
        if self.model.balancing_state is not None:
            self.model.balancing_state.epoch.assign_add(1)
