"""The numbers of a column, counted chunk by chunk."""

import zlib
from dataclasses import dataclass

import numpy as np

from kmtl.features._convert import Array
from kmtl.features._moments import Moments
from kmtl.features._statistics import Distribution

_NOTHING = Distribution(np.empty(0), np.empty(0, np.int64), 0)


@dataclass(frozen=True)
class Sampling:
    """How much of a column is kept.

    Args:
        rows: The most distinct values that are counted one by one. Of a column with
            more, as many rows are drawn, each with equal probability; `None` counts
            all.
        seed: Seed of the draws, which also depend on the name of the column.
    """

    rows: int | None = None
    seed: int = 0


class Reservoir:
    """Draws rows of a stream, each with equal probability, without knowing its end.

    What is drawn depends on the seed and on the values in their order, not on how they
    are divided into chunks.

    Args:
        rows: How many to draw.
        seed: Seed of the draws.

    Reference:
        Algorithm R: Vitter, "Random Sampling with a Reservoir", 1985.
    """

    def __init__(self, rows: int, seed: list[int]) -> None:
        self._rows = rows
        self._values: Array = np.empty(0)
        self._seen = 0
        self._rng = np.random.default_rng(seed)

    def add(self, values: Array) -> None:
        """Offers some more rows."""
        free = self._rows - len(self._values)
        self._values = np.concatenate([self._values, values[:free]])
        self._seen += min(free, len(values))
        rest = values[free:]
        if not len(rest):
            return
        places = self._rng.integers(self._seen + 1 + np.arange(len(rest)))
        drawn = places < self._rows
        self._values[places[drawn]] = rest[drawn]  # of equal places the last one stays
        self._seen += len(rest)

    @property
    def values(self) -> Array:
        """The rows drawn, in no order."""
        return self._values


class NumberTally:
    """Counts distinct numbers while they are few enough, and draws a sample.

    Args:
        name: The column's name.
        sampling: How much is kept.
    """

    def __init__(self, name: str, sampling: Sampling) -> None:
        self._most = sampling.rows
        self._sample = None
        if sampling.rows is not None:
            seed = [sampling.seed, zlib.crc32(name.encode())]
            self._sample = Reservoir(sampling.rows, seed)
        self._counted: Distribution | None = _NOTHING
        self._missing = 0
        self._moments = Moments()
        self._limits = (np.inf, -np.inf)

    def add(self, values: Array, missing: Array) -> None:
        """Counts `values`, apart from the rows where `missing` is true."""
        known = values[~missing]
        self._missing += len(values) - len(known)
        if self._sample is not None:
            self._sample.add(known)
        if self._counted is None:
            self._describe(known, Moments.of(known))
            return
        self._counted = self._counted.merged(Distribution.of(values, missing))
        if self._most is not None and len(self._counted.values) > self._most:
            counted, self._counted = self._counted, None
            moments = Moments.of_counted(counted.values, counted.counts)
            self._describe(counted.values, moments)

    def distribution(self, missing: int = 0) -> Distribution:
        """Returns the values counted, or those of the sample.

        The smallest and the largest value, the standard deviation and the missing
        values are those of all rows, also with a sample.

        Args:
            missing: Missing values that were counted elsewhere.
        """
        missing += self._missing
        if self._counted is not None:
            return Distribution(self._counted.values, self._counted.counts, missing)
        drawn = () if self._sample is None else self._sample.values
        values = np.concatenate([drawn, self._limits])
        distinct, counts = np.unique(values, return_counts=True)
        return Distribution(distinct, counts, missing, self._moments.deviation)

    def _describe(self, values: Array, moments: Moments) -> None:
        self._moments += moments
        low, high = self._limits
        if len(values):
            self._limits = (min(low, values.min()), max(high, values.max()))
