"""What is learnt of the values of one column: scales, bin edges, vocabularies.

Everything is computed from the sorted distinct values and their counts, so that the
order of the rows cannot change a bit of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from kmtl.features._convert import Array

NORMAL_INTERQUARTILE_RANGE = 1.3489795003921634  # of the standard normal distribution

Value = TypeVar("Value", str, int, float)


@dataclass(frozen=True)
class Distribution:
    """The distinct values of a column, increasing, and how often each occurs.

    Args:
        values: The distinct values, without the missing one.
        counts: How many rows hold each.
        missing: How many rows hold none.
        spread: The standard deviation of all rows, where the counts are of a sample.
    """

    values: Array
    counts: Array
    missing: int
    spread: float | None = None

    @classmethod
    def of(cls, values: Array, missing: Array) -> "Distribution":
        """Counts `values`, apart from the rows where `missing` is true."""
        distinct, counts = np.unique(values[~missing], return_counts=True)
        return cls(distinct, counts, int(missing.sum()))

    def merged(self, other: "Distribution") -> "Distribution":
        """Returns the counts of the rows of both."""
        if not len(self.values):
            return replace(other, missing=self.missing + other.missing)
        values, places = np.unique(
            np.concatenate([self.values, other.values]), return_inverse=True
        )
        counts = np.bincount(places, np.concatenate([self.counts, other.counts]))
        missing = self.missing + other.missing
        return Distribution(values, counts.astype(np.int64), missing)

    @property
    def rows(self) -> int:
        """How many rows hold a value."""
        return int(self.counts.sum())

    @property
    def constant(self) -> bool:
        """Whether all rows are alike."""
        return len(self.values) + (self.missing > 0) <= 1

    def quantiles(self, levels: Sequence[float] | Array) -> Array:
        """Returns the smallest values that reach each share of the rows."""
        reached = np.cumsum(self.counts)
        positions = np.searchsorted(reached, np.asarray(levels) * reached[-1])
        return self.values[positions]

    def deviation(self) -> float:
        """Returns the standard deviation."""
        if self.spread is not None:
            return self.spread
        mean = np.average(self.values, weights=self.counts)
        squares = (self.values - mean) ** 2
        return float(np.sqrt(np.average(squares, weights=self.counts)))


def center_and_scale(numbers: Distribution) -> tuple[float, float]:
    """Returns the median and a robust scale of numbers.

    The scale is the interquartile range in units of a normal distribution's standard
    deviation, so a few huge values do not press the rest together. Where the middle
    half of the rows is one value, it is the standard deviation, and 1 where all are.
    """
    low, center, high = numbers.quantiles((0.25, 0.5, 0.75)).tolist()
    scale = (high - low) / NORMAL_INTERQUARTILE_RANGE
    return center, scale or numbers.deviation() or 1.0


def bin_edges(numbers: Distribution, bins: int) -> tuple[float, ...]:
    """Chooses bin edges so that the bins hold about equally many rows.

    A value that alone fills a bin becomes an edge by itself, and the other edges are
    the quantiles of the remaining rows. Plain quantiles would all fall on such a value:
    a column that is zero in 96 of 100 rows would get one bin.

    Args:
        numbers: At least one.
        bins: The largest number of bins.

    Returns:
        Strictly increasing edges, the smallest and the largest value among them; empty
        if there are fewer than three, for then the encoding would be linear.
    """
    heavy = numbers.counts * bins > numbers.rows
    edges = [numbers.values[[0, -1]], numbers.values[heavy]]
    if not heavy.all():
        rest = Distribution(numbers.values[~heavy], numbers.counts[~heavy], 0)
        levels = np.linspace(0.0, 1.0, max(bins - int(heavy.sum()), 1) + 1)
        edges.append(rest.quantiles(levels))
    distinct = np.unique(np.concatenate(edges))
    return tuple(distinct.tolist()) if len(distinct) > 2 else ()


def most_frequent(
    counts: Mapping[Value, int], max_vocabulary: int, min_count: int
) -> tuple[Value, ...]:
    """Returns the values that occur often enough, most frequent first.

    Equally frequent values come in their own order.
    """
    frequent = ((n, value) for value, n in counts.items() if n >= min_count)
    ranked = sorted(frequent, key=lambda pair: (-pair[0], pair[1]))
    return tuple(value for _, value in ranked[:max_vocabulary])
