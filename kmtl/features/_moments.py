"""Mean and standard deviation that no order and no division of the rows can change."""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Self

import numpy as np

from kmtl.features._convert import Array

# Halves of a float64's 53 bits. A sum of 2**26 halves is exact in float64.
_HALF = 27
_ROWS_AT_ONCE = 2**20


@dataclass(frozen=True)
class Moments:
    """Count, sum and sum of squares of numbers, without any rounding.

    The sums are rational numbers, so moments of parts add up to those of the whole to
    the last bit: numbers that come in chunks have the mean that they have at once, in
    any order. Merging means and squared deviations (Chan et al.) would be faster, but
    rounds, and training on a stream would differ from training on the same frame.

    Args:
        count: How many numbers.
        total: Their sum.
        squares: The sum of their squares.

    Example:
        >>> import numpy as np
        >>> one, other = np.array([0.1, 1e9]), np.array([-1e9, 0.3])
        >>> parts = Moments.of(one) + Moments.of(other)
        >>> parts == Moments.of(np.concatenate([other, one]))
        True
        >>> parts.mean
        0.1

    Reference:
        Sums by exponent: Demmel and Hida, "Fast and Accurate Floating Point Summation
        with Application to Computational Geometry", 2004. Squares without rounding:
        Dekker, "A floating-point technique for extending the available precision",
        1971.
    """

    count: int = 0
    total: Fraction = Fraction(0)
    squares: Fraction = Fraction(0)

    @classmethod
    def of(cls, values: Array) -> Self:
        """Returns the moments of finite float64 numbers."""
        parts = np.array_split(values, math.ceil(len(values) / _ROWS_AT_ONCE) or 1)
        return reduce(cls.__add__, map(cls._of_some, parts), cls())

    @classmethod
    def of_counted(cls, values: Array, counts: Array) -> Self:
        """Returns the moments of numbers of which each occurs `counts` times."""
        groups = ((int(n), cls.of(values[counts == n])) for n in np.unique(counts))
        return reduce(cls.__add__, (group._times(n) for n, group in groups), cls())

    def __add__(self, other: "Moments") -> Self:
        return type(self)(
            self.count + other.count,
            self.total + other.total,
            self.squares + other.squares,
        )

    @property
    def mean(self) -> float:
        """The mean, rounded once; there must be at least one number."""
        return float(self.total / self.count)

    @property
    def deviation(self) -> float:
        """The standard deviation; exactly 0 where all numbers are alike."""
        variance = (self.squares - self.total**2 / self.count) / self.count
        return math.sqrt(variance)

    @classmethod
    def _of_some(cls, values: Array) -> Self:
        mantissas, exponents = np.frexp(values.astype(np.float64, copy=False))
        high = np.rint(np.ldexp(mantissas, _HALF - 1))
        high = np.ldexp(high, 1 - _HALF)
        low = mantissas - high
        squares = mantissas * mantissas
        lost = ((high * high - squares) + 2 * high * low) + low * low
        return cls(
            len(values),
            _sum(mantissas, exponents),
            _sum(squares, 2 * exponents) + _sum(lost, 2 * exponents),
        )

    def _times(self, number: int) -> Self:
        return type(self)(
            self.count * number, self.total * number, self.squares * number
        )


def _sum(values: Array, exponents: Array) -> Fraction:
    """Sums `values * 2**exponents` exactly, halves of equal exponent at a time."""
    if not len(values):
        return Fraction(0)
    mantissas, more = np.frexp(values)
    exponents = exponents + more
    least = int(exponents.min())
    places = exponents - least
    scaled = np.ldexp(mantissas, _HALF)
    high = np.trunc(scaled)
    low = np.ldexp(scaled - high, 53 - _HALF)
    total = sum(_weighted(np.bincount(places, high), 53 - _HALF))
    total += sum(_weighted(np.bincount(places, low), 0))
    return Fraction(total) * Fraction(2) ** (least - 53)


def _weighted(sums: Array, shift: int) -> list[int]:
    return [int(sums[i]) << (int(i) + shift) for i in np.flatnonzero(sums)]
