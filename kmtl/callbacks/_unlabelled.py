"""Warns of tasks that had no label in the first epoch of training."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kmtl._checks import shorten


class UnlabelledTasks(keras.callbacks.Callback):
    """Warns once, after the first epoch, of tasks that were not trained in it.

    `fit` adds it where labels come from datasets, which cannot be looked through ahead.
    A rare task may lack labels in one epoch, so it is no error.

    Args:
        names: The tasks that the data name.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._names = names

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        del epoch
        logs = logs or {}
        without = [n for n in self._names if np.isnan(logs.get(f"{n}_loss", 0.0))]
        self._names = ()
        if without and not self.model.stop_training:  # else the epoch may be cut short
            warnings.warn(
                f"No label counted in the first epoch for tasks {shorten(without)}: "
                "all were missing or had weight 0, so their heads learned nothing. "
                "Look at these labels, or leave the tasks out of the data.",
                stacklevel=2,
            )
