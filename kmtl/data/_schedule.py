"""Which task comes when: a pure function of the seed, the epoch and the step."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kmtl.data._shares import Strategy, exponent, shares_of, whole_numbers

ENDLESS = 2**62
"""The size of a data set without an end."""


@dataclass(frozen=True)
class Schedule:
    """Draws units: rows, or batches of one task each.

    A pass over a task goes through its units once, in an order of its own. Passes go
    on from epoch to epoch.

    Attributes:
        sizes: Rows by task name.
        units: Units an epoch.

    All others are arguments of `sample_tasks`.
    """

    sizes: Mapping[str, int]
    units: int
    batch_size: int
    mixed: bool
    strategy: Strategy
    temperature: float | None
    anneal_epochs: int | None
    starts: Mapping[str, int]
    max_repeats: float | None
    seed: int

    @property
    def unit_rows(self) -> int:
        """Rows a unit."""
        return 1 if self.mixed else self.batch_size

    @property
    def batch_units(self) -> int:
        """Units a batch."""
        return self.batch_size if self.mixed else 1

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return -(-self.units // self.batch_units)

    @property
    def shuffles(self) -> bool:
        """Whether the rows of a task come in another order in each pass."""
        return True

    def table(self, epoch: int) -> pd.DataFrame:
        """Returns what an epoch draws of each task, see `TaskSampler.table`."""
        counts, before = self.counts(epoch), self.drawn_before(epoch)
        rows = self._rows_until(before + counts) - self._rows_until(before)
        endless = self._rows() == ENDLESS
        size = pd.array(self._rows(), dtype="Int64")
        size[endless] = pd.NA
        columns = {
            "size": size,
            "probability": self.shares(epoch),
            "rows": rows,
            "passes": np.where(endless, np.nan, rows / self._rows()),
        }
        return pd.DataFrame(columns, index=pd.Index(self.sizes, name="task"))

    def shares(self, epoch: int) -> np.ndarray:
        """Returns the share of each task in the units of an epoch, `(tasks,)`."""
        power = exponent(self.strategy, self.temperature, epoch, self.anneal_epochs)
        return shares_of(
            self.units_a_pass(), power, self.active(epoch), self.limits() / self.units
        )

    def active(self, epoch: int) -> np.ndarray:
        """Returns which tasks an epoch draws, `(tasks,)`."""
        return np.array([epoch >= self.starts.get(name, 0) for name in self.sizes])

    def limits(self) -> np.ndarray:
        """Returns the most units of each task that an epoch may draw, `(tasks,)`."""
        if self.max_repeats is None:
            return np.full(len(self.sizes), np.inf)
        return np.floor(self.max_repeats * self.units_a_pass())

    def counts(self, epoch: int) -> np.ndarray:
        """Returns how many units of each task an epoch draws, `(tasks,)`."""
        return whole_numbers(self.shares(epoch), self.units)

    def drawn_before(self, epoch: int) -> np.ndarray:
        """Returns how many units of each task the epochs before draw, `(tasks,)`."""
        drawn = np.zeros(len(self.sizes), dtype="int64")
        for earlier in range(epoch):
            drawn += self.counts(earlier)
        return drawn

    def order(self, epoch: int) -> np.ndarray:
        """Returns where the units of an epoch, sorted by task, go.

        Unit i of a task with c units comes somewhere in the i-th of c equal parts of
        the epoch: so any stretch of it holds all tasks by their shares.

        Returns:
            A permutation of the units, `(units,)`.
        """
        counts = self.counts(epoch)
        starts = np.cumsum(counts) - counts
        within = np.arange(self.units) - np.repeat(starts, counts)
        jitter = np.random.default_rng([self.seed, epoch]).random(self.units)
        return np.argsort((within + jitter) / np.repeat(counts, counts), kind="stable")

    def tasks(self, epoch: int) -> np.ndarray:
        """Returns the position of the task of each unit of an epoch, `(units,)`."""
        by_task = np.repeat(np.arange(len(self.sizes)), self.counts(epoch))
        return by_task[self.order(epoch)]

    def rows_before(self, epoch: int, step: int) -> np.ndarray:
        """Returns the rows of each task before a batch, of all epochs, `(tasks,)`."""
        so_far = self.tasks(epoch)[: step * self.batch_units]
        within = np.bincount(so_far, minlength=len(self.sizes))
        return self._rows_until(self.drawn_before(epoch) + within)

    def shuffled(self, task: str, number: int) -> np.ndarray:
        """Returns the order of the rows of a task in a pass, `(rows,)`.

        It depends on the name of the task, not on what other tasks there are.
        """
        key = [self.seed, zlib.crc32(task.encode()), number]
        return np.random.default_rng(key).permutation(self.sizes[task])

    def units_a_pass(self) -> np.ndarray:
        """Returns the units in one pass over each task, `(tasks,)`."""
        return -(-self._rows() // self.unit_rows)

    def _rows(self) -> np.ndarray:
        return np.array(list(self.sizes.values()), dtype="int64")

    def _rows_until(self, units: np.ndarray) -> np.ndarray:
        """How many rows the first units of each task hold; the last of a pass less."""
        passes, rest = np.divmod(units, self.units_a_pass())
        sizes = self._rows()
        return passes * sizes + np.minimum(rest * self.unit_rows, sizes)


class InOrder(Schedule):
    """Every row of every task once, one task after the other, unshuffled."""

    @classmethod
    def of(cls, schedule: Schedule) -> "InOrder":
        """Takes the rows and the batches of another schedule.

        Raises:
            ValueError: If the rows of a task do not end.
        """
        for task, rows in schedule.sizes.items():
            if rows == ENDLESS:
                raise ValueError(
                    "Every row is read once, so datasets must end. Received: an "
                    f"endless dataset for task {task!r}. Use `dataset.take(batches)`."
                )
        return cls(
            sizes=schedule.sizes,
            units=sum(schedule.sizes.values()),
            batch_size=schedule.batch_size,
            mixed=True,
            strategy="proportional",
            temperature=None,
            anneal_epochs=None,
            starts={},
            max_repeats=None,
            seed=0,
        )

    @property
    def shuffles(self) -> bool:
        return False

    def counts(self, epoch: int) -> np.ndarray:
        del epoch
        return self._rows()

    def order(self, epoch: int) -> np.ndarray:
        del epoch
        return np.arange(self.units)

    def shuffled(self, task: str, number: int) -> np.ndarray:
        del number
        return np.arange(self.sizes[task])
