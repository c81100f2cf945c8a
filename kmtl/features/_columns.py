"""What was learnt of each column: frozen, plain data that JSON holds exactly."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeAlias

from kmtl._typing import Config

CODES_BEFORE_VOCABULARY = 2
"""Code 0 is a missing value (of a text: padding), 1 a value not in the vocabulary."""

DATE_PARTS: dict[str, int] = {"month": 12, "weekday": 7, "hour": 24}
"""The calendar parts that become categories, with their number of values."""


@dataclass(frozen=True, kw_only=True)
class NumericColumn:
    """A column of numbers, served as `float64` with NaN for a missing value.

    Args:
        name: The column's name.
        center: Subtracted, in float64 (the median of the training frame).
        scale: Divided by, in float64; positive.
        edges: Bin edges of the piecewise linear encoding, in units of the standardised
            number, strictly increasing; empty for none.
        indicator: Whether an extra channel says that the value is missing.
        values: The numbers that recur and get an embedding of their own, in the
            column's unit, increasing; empty for no embedding.
    """

    kind: ClassVar[str] = "numeric"
    serving_dtype: ClassVar[str] = "float64"
    name: str
    center: float
    scale: float
    edges: tuple[float, ...] = ()
    indicator: bool = False
    values: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """Number of codes: missing, any other number, then the values that recur."""
        return CODES_BEFORE_VOCABULARY + len(self.values)


@dataclass(frozen=True, kw_only=True)
class BooleanColumn:
    """A column of truth values, served as `int64`: 1, 0, and -1 for a missing value.

    Args:
        name: The column's name.
        center: The share of true values in the training frame.
        scale: Their standard deviation.
        indicator: Whether an extra channel says that the value is missing.
    """

    kind: ClassVar[str] = "boolean"
    serving_dtype: ClassVar[str] = "int64"
    name: str
    center: float
    scale: float
    indicator: bool = False

    @property
    def edges(self) -> tuple[float, ...]:
        """No piecewise linear encoding: two values are linear already."""
        return ()


@dataclass(frozen=True, kw_only=True)
class DateColumn:
    """A column of dates or times, served as `float64` seconds since 1970-01-01.

    A column without a time zone holds the seconds of its own clock, one with a time
    zone those of UTC. NaN is a missing value. The encoding is linear time, a number,
    and the calendar parts, which are categories.

    Args:
        name: The column's name.
        aware: Whether the training frame had a time zone.
        parts: Which of month, weekday and hour vary in the training frame.
        center: Subtracted from the seconds, in float64.
        scale: Divided by, in seconds.
        edges: As of `NumericColumn`.
        indicator: As of `NumericColumn`.
    """

    kind: ClassVar[str] = "date"
    serving_dtype: ClassVar[str] = "float64"
    name: str
    aware: bool
    parts: tuple[str, ...]
    center: float
    scale: float
    edges: tuple[float, ...] = ()
    indicator: bool = False


@dataclass(frozen=True, kw_only=True)
class CategoricalColumn:
    """A column of categories, served as `string` or `int64`.

    An empty string, and the smallest int64, are missing values.

    Args:
        name: The column's name.
        vocabulary: The values that get an embedding of their own, most frequent first:
            all strings or all integers.
    """

    kind: ClassVar[str] = "categorical"
    name: str
    vocabulary: tuple[str, ...] | tuple[int, ...]

    @property
    def serving_dtype(self) -> str:
        """`"string"` or `"int64"`, by the type of the vocabulary."""
        return "string" if isinstance(self.vocabulary[0], str) else "int64"

    @property
    def size(self) -> int:
        """Number of codes: missing, out of vocabulary, then the vocabulary."""
        return CODES_BEFORE_VOCABULARY + len(self.vocabulary)


@dataclass(frozen=True, kw_only=True)
class TextColumn:
    """A column of free text, served as `string`.

    Args:
        name: The column's name.
        vocabulary: The words that get an embedding of their own, most frequent first.
        tokens: How many words of a text are read; the rest is cut off.
    """

    kind: ClassVar[str] = "text"
    serving_dtype: ClassVar[str] = "string"
    name: str
    vocabulary: tuple[str, ...]
    tokens: int

    @property
    def size(self) -> int:
        """Number of codes: padding, out of vocabulary, then the vocabulary."""
        return CODES_BEFORE_VOCABULARY + len(self.vocabulary)


ScalarColumn: TypeAlias = NumericColumn | BooleanColumn | DateColumn
"""Columns with a channel in the encoded `"numeric"` array."""

Column: TypeAlias = ScalarColumn | CategoricalColumn | TextColumn

_CLASSES: dict[str, type[Column]] = {
    c.kind: c
    for c in (NumericColumn, BooleanColumn, DateColumn, CategoricalColumn, TextColumn)
}


def column_config(column: Column) -> Config:
    """Returns the column as plain data that `json` writes and reads back exactly."""
    fields = asdict(column).items()
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in fields}
    return {"kind": column.kind, **plain}


def column_from_config(config: Config) -> Column:
    """Rebuilds a column from `column_config`, tuples included."""
    fields: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in config.items()
    }
    return _CLASSES[fields.pop("kind")](**fields)
