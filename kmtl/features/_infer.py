"""Decides what a column is and what is kept of it, from what was counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kmtl.features._calendar import calendar_parts
from kmtl.features._columns import (
    BooleanColumn,
    CategoricalColumn,
    DateColumn,
    NumericColumn,
    TextColumn,
)
from kmtl.features._convert import looks_like_dates
from kmtl.features._statistics import (
    Distribution,
    bin_edges,
    center_and_scale,
    most_frequent,
)
from kmtl.features._words import WordTally

ID_SHARE = 0.95
"""A column is nearly unique if more of its values than this are distinct."""

ID_MIN_ROWS = 100
"""With fewer rows, distinct values say nothing."""

TEXT_SHARE = 0.2
"""Strings of several words are text, not categories, if more of them are distinct."""

RECURRING = 10
"""A number that occurs in this many rows gets an embedding of its own.

Measured on Census-Income (199,523 rows): the test AUC of income rises from 0.949 to
0.952. Wages and capital gains are full of round and capped amounts that mean something.
"""

MAX_TOKENS = 256
"""Longer texts are cut, to bound the memory that the encoded array takes."""

CONSTANT = "holds one value only"
EMPTY = "holds missing values only"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The settings of `TabularFeatures.from_frame` that apply to each column."""

    max_vocabulary: int
    min_count: int
    bins: int


def is_nearly_unique(distinct: int, rows: int) -> bool:
    """Says whether so many distinct values in so many rows look like an id."""
    return rows >= ID_MIN_ROWS and distinct > ID_SHARE * rows


def kind_of_strings(counts: Mapping[str, int]) -> str:
    """Returns the kind of a column from its strings and how often each occurs."""
    if looks_like_dates(counts):
        return "date"
    rows = sum(counts.values())
    if len(counts) <= TEXT_SHARE * rows:
        return "categorical"
    several = sum(n for value, n in counts.items() if len(value.split()) > 1)
    return "text" if several > 0.5 * rows else "categorical"


def numeric_column(
    name: str, found: Distribution, limits: Limits
) -> NumericColumn | str:
    """Describes a column of numbers, or says in words why it is of no use."""
    if found.constant:
        return CONSTANT
    center, scale, edges = _scale_and_edges(found, limits.bins)
    return NumericColumn(
        name=name,
        center=center,
        scale=scale,
        edges=edges,
        indicator=found.missing > 0,
        values=_recurring(found, limits),
    )


def boolean_column(name: str, found: Distribution) -> BooleanColumn | str:
    """Describes a column of truth values, as `numeric_column`."""
    if found.constant:
        return CONSTANT
    return BooleanColumn(
        name=name,
        center=float(np.average(found.values, weights=found.counts)),
        scale=found.deviation() or 1.0,
        indicator=found.missing > 0,
    )


def date_column(
    name: str, found: Distribution, aware: bool, limits: Limits
) -> DateColumn | str:
    """Describes a column of dates, as `numeric_column`."""
    if found.constant:
        return CONSTANT
    center, scale, edges = _scale_and_edges(found, limits.bins)
    parts = calendar_parts(found.values)
    return DateColumn(
        name=name,
        aware=aware,
        parts=tuple(p for p, v in parts.items() if len(np.unique(v)) > 1),
        center=center,
        scale=scale,
        edges=edges,
        indicator=found.missing > 0,
    )


def categorical_column(
    name: str, counts: Mapping[Any, int], missing: int, limits: Limits
) -> CategoricalColumn | str:
    """Describes a column of categories, as `numeric_column`."""
    if len(counts) + (missing > 0) <= 1:
        return CONSTANT if counts else EMPTY
    vocabulary = most_frequent(counts, limits.max_vocabulary, limits.min_count)
    if not vocabulary:
        return f"holds no value {limits.min_count} times"
    return CategoricalColumn(name=name, vocabulary=vocabulary)


def text_column(name: str, words: WordTally, limits: Limits) -> TextColumn | str:
    """Describes a column of texts, as `numeric_column`."""
    vocabulary = most_frequent(
        words.occurrences, limits.max_vocabulary, limits.min_count
    )
    if not vocabulary:
        return f"holds no word {limits.min_count} times"
    return TextColumn(
        name=name, vocabulary=vocabulary, tokens=min(words.tokens, MAX_TOKENS)
    )


def _recurring(found: Distribution, limits: Limits) -> tuple[float, ...]:
    least = max(limits.min_count, RECURRING)
    often = found.counts >= least
    values, counts = found.values[often].tolist(), found.counts[often].tolist()
    counts = dict(zip(values, counts, strict=True))
    return tuple(sorted(most_frequent(counts, limits.max_vocabulary, least)))


def _scale_and_edges(
    found: Distribution, bins: int
) -> tuple[float, float, tuple[float, ...]]:
    center, scale = center_and_scale(found)
    # As the network will see the numbers: edges that differ in float64 only would
    # make bins without width.
    standardized = ((found.values - center) / scale).astype(np.float32)
    seen = Distribution(standardized, found.counts, found.missing)
    return center, scale, bin_edges(seen, bins)
