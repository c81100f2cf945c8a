"""Records how a step for one task changes the loss of another while a model trains."""

from typing import Any

import keras
import pandas as pd

from kmtl._checks import check_positive, check_positive_integer


class TaskAffinity(keras.callbacks.Callback):
    """Records in each epoch how a step for one task changes the losses of all.

    In one of so many steps the shared weights are moved along the gradient of one task
    alone, the losses of all tasks are computed anew on the same batch, with the same
    dropout, and the weights are put back. The affinity of task i to task j is `1 -
    loss_j after / loss_j before`, with the other sign where the loss is below 0. What
    belongs to one task, its head above all, stays. Training goes on as it would
    without.

    A measured step costs about as much as one more step for each task.

    Values are means over the measured steps of an epoch; a pair of tasks counts in
    steps in which both have a label.

    Args:
        every: In which steps: the first of an epoch and then one in so many. Tasks that
            are rarely labelled in one batch need a smaller number. Where each row
            belongs to one task, a batch has few rows of every task, and affinities are
            noise unless they are measured in large batches and often, such as
            `batch_size=1024, every=1` for 16 domains of reviews
            (`benchmarks/task_groups.py`).
        step_size: How far a step goes along the gradient of the task's loss times its
            loss weight; by default the learning rate of the moment. Where that is so
            small (below about 1e-4) that the change of the loss is lost in rounding,
            name a larger one.

    Attributes:
        epochs: The epochs recorded, counted from 0.
        affinity: One DataFrame an epoch: rows are tasks that take a step, columns tasks
            whose loss changes. Above 0 where the step helps; NaN for a pair that was
            never labelled in one batch.

    Raises:
        ValueError: If `every` or `step_size` is wrong; in `fit`, if tasks share no
            weights or the model is trained on several devices.

    Example:
        >>> import kmtl, numpy as np
        >>> model = kmtl.build_mtl_model((8,), [kmtl.BinaryTask("a")])
        >>> affinity = kmtl.callbacks.TaskAffinity(every=1)
        >>> x, y = np.ones((4, 8)), {"a": [0, 1, 1, 1]}
        >>> history = model.fit(x, y, verbose=0, callbacks=[affinity])
        >>> bool(affinity.affinity[-1].loc["a", "a"] > 0)
        True

    Reference:
        Fifty et al., "Efficiently Identifying Task Groupings for Multi-Task Learning",
        NeurIPS 2021, https://arxiv.org/abs/2109.04617, equation 1. The step is that of
        the equation, plain gradient descent, whatever the optimizer: the authors' code
        adds its momentum, which holds the steps of all tasks before.
    """

    def __init__(self, *, every: int = 10, step_size: float | None = None) -> None:
        super().__init__()
        check_positive_integer(every, "every")
        if step_size is not None:
            check_positive(step_size, "step_size")
        self.every = every
        self.step_size = step_size
        self._look_ahead: Any = None
        self._clear()

    def _clear(self) -> None:
        self.epochs: list[int] = []
        self.affinity: list[pd.DataFrame] = []

    def on_train_begin(self, logs: Any = None) -> None:
        del logs
        self._clear()
        self._look_ahead = self.model.record_affinity(
            every=self.every, step_size=self.step_size
        )
        self.model.make_train_function()  # measuring is part of the traced step

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        del epoch, logs
        self._look_ahead.reset()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        del logs
        names = self.model.task_names
        self.epochs.append(epoch)
        values = self._look_ahead.record.result()
        self.affinity.append(pd.DataFrame(values, names, names))

    def on_train_end(self, logs: Any = None) -> None:
        del logs
        self.model.stop_recording()
