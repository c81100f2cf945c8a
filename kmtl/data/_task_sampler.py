"""The rows of several tasks in turn, as `fit` takes them."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from kmtl._checks import check_count, did_you_mean, shorten
from kmtl.data._adapter import Adapter
from kmtl.data._draws import as_frame, draws_of
from kmtl.data._epoch import Epoch
from kmtl.data._schedule import ENDLESS, InOrder, Schedule
from kmtl.data._task_rows import Reading, RowsInMemory
from kmtl.data._task_sources import RowsInSources
from kmtl.data._task_streams import RowsInDatasets
from kmtl.layers._task_outputs import is_standardized


@dataclass(frozen=True, repr=False)
class TaskSampler:
    """Rows of several tasks; made by `kmtl.data.sample_tasks`, taken by `fit`.

    What comes in a batch depends on the seed, the epoch and the step alone. So a
    position is the number of batches so far, and `fit(sampler, initial_epoch=5)` goes
    on as if the epochs before had run.

    `evaluate` and `validation_data` take it too, and read every row of every task
    exactly once, in the order of the data, whatever the strategy: the numbers are those
    of a table with all rows and missing labels. `predict` does not: its answers would
    have no order of their own.
    """

    source: RowsInMemory | RowsInDatasets | RowsInSources
    schedule: Schedule
    first_step: int = 0

    @property
    def task_names(self) -> list[str]:
        """The names of the tasks that have rows."""
        return list(self.schedule.sizes)

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return self.schedule.steps

    def __repr__(self) -> str:
        return (
            f"TaskSampler({len(self.task_names)} tasks, strategy="
            f"{self.schedule.strategy!r}, {self.steps} batches an epoch)"
        )

    def table(self, epoch: int = 0) -> pd.DataFrame:
        """Tells how often the rows of each task are seen in an epoch.

        Returns:
            A frame by task: `size` (the rows it has; missing if they do not end),
            `probability` (its share of the rows, or of the batches where each holds one
            task), `rows` (drawn in the epoch) and `passes` (how often each of its rows
            is seen on average).
        """
        check_count(epoch, "epoch")
        return self.schedule.table(epoch)

    def draws(self, epoch: int = 0) -> pd.DataFrame:
        """Tells which rows an epoch draws, in their order.

        Returns:
            A frame with `batch`, `task` and `row`, the position in the data of the
            task.

        Raises:
            ValueError: If the data are datasets or files, whose rows have no positions.
        """
        check_count(epoch, "epoch")
        if not isinstance(self.source, RowsInMemory):
            raise ValueError(
                "`draws` needs data in memory: rows of datasets and files have no "
                f"positions. "
                f"Received: {self!r}."
            )
        return as_frame(draws_of(self.schedule, epoch), self.schedule)

    def tasks_in(self, epoch: int) -> list[str]:
        """Returns the tasks that an epoch draws rows of; none for the rest of one."""
        rows = self.table(epoch)["rows"]
        return [] if self.first_step else list(rows.index[rows > 0])

    def skip(self, step: int) -> "TaskSampler":
        """Returns the rest of an epoch, to go on in the midst of one.

        Args:
            step: How many batches of the epoch to leave out.

        Returns:
            A sampler that `fit` takes for one epoch.

        Raises:
            ValueError: If an epoch has no batch behind them.

        Example:
            >>> import kmtl, numpy as np
            >>> data = {"a": (np.zeros((6, 2)), np.arange(6) % 2)}
            >>> sampler = kmtl.data.sample_tasks(data, batch_size=2)
            >>> model = kmtl.build_mtl_model((2,), [kmtl.BinaryTask("a")])
            >>> history = model.fit(sampler, epochs=2, verbose=0)
            >>> divmod(int(model.optimizer.iterations), sampler.steps)  # epoch, step
            (2, 0)
            >>> history = model.fit(
            ...     sampler.skip(1), initial_epoch=2, epochs=3, verbose=0
            ... )
            >>> int(model.optimizer.iterations)
            8
        """
        check_count(step, "step")
        if step >= self.steps:
            raise ValueError(
                f"`step` must be below the batches of an epoch, {self.steps}. "
                f"Received: {step}. Use epoch, step = divmod(batches, sampler.steps)."
            )
        return dataclasses.replace(self, first_step=step)

    def encoded_labels(self, adapter: Adapter) -> list[np.ndarray]:
        """Returns the labels of every regression task, each row once."""
        self._check_tasks(adapter)
        tasks = adapter.packer.tasks
        needed = [task.name for task in tasks if is_standardized(task)]
        found = self.source.encoded_labels(adapter, self.steps, needed)
        return [found.get(task.name, np.empty(0)) for task in tasks]

    def dataset(
        self, adapter: Adapter, epoch: Epoch, reading: Reading | None = None
    ) -> tf.data.Dataset:
        """Returns packed batches: read again and again, each time of the epoch named.

        Args:
            adapter: Knows tasks, inputs and features.
            epoch: The epoch to read next.
            reading: Weights, and where errors go.
        """
        self._check_tasks(adapter)
        read = self.source.reader(adapter, self.schedule, reading or Reading())
        steps = tf.data.Dataset.range(self.first_step, self.steps)

        def one_epoch(_: Any) -> tf.data.Dataset:
            number = tf.numpy_function(lambda: np.int64(epoch.number), [], tf.int64)
            return read(number, steps)

        count = tf.data.experimental.assert_cardinality(self.steps - self.first_step)
        return tf.data.Dataset.range(1).flat_map(one_epoch).apply(count).prefetch(2)

    def in_order(self) -> "TaskSampler":
        """Returns every row of every task once, one task after the other.

        Raises:
            ValueError: If a dataset does not end.
        """
        return TaskSampler(self.source, InOrder.of(self.schedule))

    def check_arguments(self, y: Any, arguments: dict[str, Any]) -> None:
        """Raises `ValueError` for labels and batches that contradict the sampler."""
        if y is not None:
            raise ValueError(
                "`y` must come from the data of `sample_tasks`. Received: "
                f"x={self!r} and `y`."
            )
        if arguments.get("batch_size") is not None:
            raise ValueError(
                "`batch_size` must be given to `sample_tasks`. Received: "
                f"batch_size={arguments['batch_size']}."
            )

    def check_fit(self, y: Any, arguments: dict[str, Any]) -> None:
        """Raises `ValueError` for arguments of `fit` that contradict the sampler."""
        self.check_arguments(y, arguments)
        left = self.steps - self.first_step
        if arguments.get("steps_per_epoch") not in (None, left):
            behind = f" behind skip({self.first_step})" * bool(self.first_step)
            raise ValueError(
                f"`steps_per_epoch` must be {left}, the batches of the epoch{behind}: "
                "leave it out, or pass `steps` to `sample_tasks`. Received: "
                f"{arguments['steps_per_epoch']}."
            )
        epochs = arguments.get("epochs", 1) - arguments.get("initial_epoch", 0)
        if self.first_step and epochs > 1:
            raise ValueError(
                "`epochs` must be `initial_epoch + 1` for the rest of one epoch, then "
                f"go on with the whole sampler. Received: {epochs} epochs."
            )

    def _check_tasks(self, adapter: Adapter) -> None:
        tasks = {task.name: task for task in adapter.packer.tasks}
        known = list(tasks)
        for name, rows in self.schedule.sizes.items():
            if name not in known:
                count = "endless" if rows == ENDLESS else rows
                raise ValueError(
                    "`data` of `sample_tasks` names an unknown task. Received: "
                    f"{name!r}, {count} rows.{did_you_mean(name, known)} "
                    f"Known: {shorten(known)}."
                )
            if (other := tasks[name].only_if) is not None:
                raise ValueError(
                    f"Labels of task {name!r} count where that of task {other!r} is "
                    "positive, and its rows have labels of their own task alone. "
                    f"Received: `data` of `sample_tasks` with task {name!r}. Fit on "
                    "rows with the labels of both."
                )
