"""Tells a dataset which epoch `fit` is in."""

from typing import Any, Protocol

import keras


class HasNumber(Protocol):
    """Something that keeps the number of an epoch."""

    number: int


class EpochFollower(keras.callbacks.Callback):
    """Notes each epoch as it begins; also one that a backup was restored to.

    Args:
        epoch: Where it is noted.
    """

    def __init__(self, epoch: HasNumber) -> None:
        super().__init__()
        self._epoch = epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        del logs
        self._epoch.number = epoch
