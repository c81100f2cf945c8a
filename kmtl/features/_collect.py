"""Counts what is in each column, frame by frame."""

import abc
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from kmtl.features._columns import Column
from kmtl.features._convert import (
    MISSING_INTEGER,
    Array,
    booleans,
    category_values,
    integers,
    numbers,
    seconds,
    strings,
    value_kind,
)
from kmtl.features._infer import (
    EMPTY,
    Limits,
    boolean_column,
    categorical_column,
    date_column,
    is_nearly_unique,
    kind_of_strings,
    numeric_column,
    text_column,
)
from kmtl.features._tally import NumberTally, Sampling
from kmtl.features._words import WordTally

Counts: TypeAlias = dict[Any, int]

# What `value_kind` finds -> what is counted.
_KIND = {"number": "numeric", "category": "categorical", "text": "strings"}


class Collector(abc.ABC):
    """What is known of one column so far.

    Args:
        name: The column's name.
        sampling: How much is kept.
    """

    def __init__(self, name: str, sampling: Sampling) -> None:
        self.name = name
        self.sampling = sampling

    @abc.abstractmethod
    def add(self, series: pd.Series) -> None:
        """Counts some rows with at least one value."""

    @abc.abstractmethod
    def describe(self, missing: int, limits: Limits) -> Column | str:
        """Returns what the column is, or in words why it is of no use.

        Args:
            missing: The rows without a value that were not counted.
            limits: Settings.
        """

    def is_nearly_unique(self) -> bool:
        """Whether the column looks like an id."""
        return False


class Numbers(Collector):
    """Numbers, durations as seconds."""

    def __init__(self, name: str, sampling: Sampling) -> None:
        super().__init__(name, sampling)
        self._tally = NumberTally(name, sampling)

    def add(self, series: pd.Series) -> None:
        values = numbers(series)
        self._tally.add(values, np.isnan(values))

    def describe(self, missing: int, limits: Limits) -> Column | str:
        return numeric_column(self.name, self._tally.distribution(missing), limits)

    def is_nearly_unique(self) -> bool:
        found = self._tally.distribution()
        whole = bool((found.values == np.floor(found.values)).all())
        return whole and is_nearly_unique(len(found.values), found.rows)


class Booleans(Collector):
    """Truth values."""

    def __init__(self, name: str, sampling: Sampling) -> None:
        super().__init__(name, sampling)
        self._tally = NumberTally(name, sampling)

    def add(self, series: pd.Series) -> None:
        values = booleans(series)
        self._tally.add(values, values < 0)

    def describe(self, missing: int, limits: Limits) -> Column | str:  # noqa: ARG002
        return boolean_column(self.name, self._tally.distribution(missing))


class Dates(Collector):
    """Dates and times as seconds since 1970."""

    def __init__(self, name: str, sampling: Sampling) -> None:
        super().__init__(name, sampling)
        self._tally = NumberTally(name, sampling)
        self._aware: bool | None = None

    def add(self, series: pd.Series) -> None:
        values, self._aware = seconds(series, self._aware)
        self._tally.add(values, np.isnan(values))

    def add_counted(self, counts: Counts) -> None:
        """Counts distinct strings."""
        values, self._aware = seconds(pd.Series(list(counts), name=self.name))
        values = np.repeat(values, list(counts.values()))
        self._tally.add(values, np.isnan(values))

    def describe(self, missing: int, limits: Limits) -> Column | str:
        found = self._tally.distribution(missing)
        return date_column(self.name, found, bool(self._aware), limits)


class Categories(Collector):
    """Strings or whole numbers, each distinct one counted."""

    def __init__(self, name: str, sampling: Sampling) -> None:
        super().__init__(name, sampling)
        self._counts: Counts = {}
        self._missing = 0

    def add(self, series: pd.Series) -> None:
        if value_kind(category_values(series)) == "text":
            self.add_counted(_string_counts(series))
        else:
            values, counts = np.unique(integers(series), return_counts=True)
            self.add_counted(dict(zip(values.tolist(), counts.tolist(), strict=True)))

    def add_counted(self, counts: Counts) -> None:
        """Counts distinct values."""
        self._missing += counts.pop("", 0) + counts.pop(MISSING_INTEGER, 0)
        _check_one_type(self.name, self._counts, counts)
        for value, rows in counts.items():
            self._counts[value] = self._counts.get(value, 0) + rows

    def describe(self, missing: int, limits: Limits) -> Column | str:
        missing += self._missing
        return categorical_column(self.name, self._counts, missing, limits)

    def is_nearly_unique(self) -> bool:
        return is_nearly_unique(len(self._counts), sum(self._counts.values()))


class Texts(Collector):
    """The words of texts."""

    def __init__(self, name: str, sampling: Sampling) -> None:
        super().__init__(name, sampling)
        self._words = WordTally()
        self._empty = True

    def add(self, series: pd.Series) -> None:
        self.add_counted(_string_counts(series))

    def add_counted(self, counts: Counts) -> None:
        """Counts the words of distinct texts."""
        self._empty = self._empty and not any(counts)
        texts = np.array([*counts], dtype=object)
        self._words.add(texts, np.array([*counts.values()], dtype=np.int64))

    def describe(self, missing: int, limits: Limits) -> Column | str:  # noqa: ARG002
        return EMPTY if self._empty else text_column(self.name, self._words, limits)


class Strings(Collector):
    """Strings whose kind shows only when many are known.

    Until then each distinct one is counted. Where they are more than the sampling
    takes, the kind is decided at once: texts and dates are not kept whole.
    """

    def __init__(self, name: str, sampling: Sampling) -> None:
        super().__init__(name, sampling)
        self._counts: Counts = {}
        self._decided: Collector | None = None

    def add(self, series: pd.Series) -> None:
        if self._decided is not None:
            self._decided.add(series)
            return
        for value, rows in _string_counts(series).items():
            self._counts[value] = self._counts.get(value, 0) + rows
        most = self.sampling.rows
        if most is not None and len(self._counts) > most:
            self._decided, self._counts = self._decide(), {}

    def describe(self, missing: int, limits: Limits) -> Column | str:
        return self._now().describe(missing, limits)

    def is_nearly_unique(self) -> bool:
        return self._now().is_nearly_unique()

    def _now(self) -> Collector:
        if self._decided is None:
            self._decided = self._decide()
        return self._decided

    def _decide(self) -> Collector:
        known = {value: rows for value, rows in self._counts.items() if value}
        kinds: Mapping[str, type[Dates | Categories | Texts]] = {
            "date": Dates,
            "categorical": Categories,
            "text": Texts,
        }
        decided = kinds[kind_of_strings(known)](self.name, self.sampling)
        decided.add_counted(dict(self._counts))
        return decided


class ColumnCollector:
    """Finds out what one column holds, from one frame after the other.

    Args:
        name: The column's name.
        kind: What the user says it is; `None` to find out.
        sampling: How much is kept.
    """

    def __init__(self, name: str, kind: str | None, sampling: Sampling) -> None:
        self.name = name
        self.kind = kind
        self._sampling = sampling
        self._missing = 0
        self._found: str | None = None
        self._collector: Collector | None = None

    def add(self, series: pd.Series) -> None:
        """Counts the rows of one frame.

        Raises:
            TypeError: If they hold values of another type than those before.
        """
        found = value_kind(series)
        if found == "empty":
            self._missing += len(series)
            return
        if self._collector is None:
            self._found = found
            kind = self.kind or _KIND.get(found, found)
            self._collector = _COLLECTORS[kind](self.name, self._sampling)
        elif self.kind is None and found != self._found:
            raise TypeError(
                f"Column {self.name!r} must hold values of one type. Received: "
                f"{self._found} first, then {found}. Convert it, or name its kind."
            )
        self._collector.add(series)

    def describe(self, limits: Limits) -> Column | str:
        """Returns what the column is, or in words why it is of no use."""
        if self._collector is None:
            return EMPTY
        return self._collector.describe(self._missing, limits)

    def is_nearly_unique(self) -> bool:
        """Whether a column whose kind the user did not name looks like an id."""
        if self.kind is not None or self._collector is None:
            return False
        return self._collector.is_nearly_unique()


_COLLECTORS: Mapping[str, type[Collector]] = {
    "numeric": Numbers,
    "boolean": Booleans,
    "date": Dates,
    "categorical": Categories,
    "text": Texts,
    "strings": Strings,
}


def _string_counts(series: pd.Series) -> Counts:
    uniques, codes = strings(series)
    rows: Array = np.bincount(codes, minlength=len(uniques))
    counts: Counts = {}
    for value, n in zip(uniques.tolist(), rows.tolist(), strict=True):
        if n:
            counts[value] = counts.get(value, 0) + n  # "" twice: empty and missing
    return counts


def _check_one_type(name: str, known: Counts, more: Counts) -> None:
    if known and more:
        one, other = next(iter(known)), next(iter(more))
        if isinstance(one, str) != isinstance(other, str):
            raise TypeError(
                f"Column {name!r} must hold values of one type. Received: {one!r} and "
                f"{other!r}. Convert it, e.g. to strings."
            )
