"""Stops training when the loss of a task is no number any more."""

from typing import Any

import keras

_BATCHES_BETWEEN_LOOKS = 50


class NonFiniteGuard(keras.callbacks.Callback):
    """Raises when the loss of a task became NaN or infinite, and says where.

    `fit` adds it. It looks every 50 batches and at the end of an epoch, before any
    other callback can save the weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        del logs
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        del logs
        if batch % _BATCHES_BETWEEN_LOOKS == _BATCHES_BETWEEN_LOOKS - 1:
            self._check()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        del epoch, logs
        self._check()

    def _check(self) -> None:
        bad = self.model.task_metrics.first_bad()
        if bad:
            task, batch = min(bad.items(), key=lambda item: item[1])
            raise FloatingPointError(
                f"The loss of task {task!r} is not finite at batch {batch} of epoch "
                f"{self._epoch + 1}. Lower the learning rate, clip gradients "
                "(`global_clipnorm`), or look at the labels and inputs of that batch. "
                f"Tasks affected: {sorted(bad)[:5]}."
            )
