"""How raw columns become encoded arrays, told to those without TensorFlow."""

from typing import Any

from kmtl._typing import Config
from kmtl.features import (
    CategoricalColumn,
    DateColumn,
    NumericColumn,
    TabularFeatures,
    TextColumn,
)
from kmtl.features._columns import ScalarColumn

_RULES = {
    "standardized": "In float64: (number - center) / scale, cut to [-1e15, 1e15], then "
    "rounded to float32. A missing number (NaN, infinite) becomes 0. A truth value is "
    "the number 1 or 0, a date its seconds since 1970-01-01 00:00: of the column's own "
    "clock, or of UTC if `aware` is true.",
    "indicator": "1 where the number is missing, else 0.",
    "category": "0 for a missing value (the empty string, or -9223372036854775808 "
    "where the vocabulary has integers), 1 for a value that is not in `vocabulary`, "
    "else 2 plus its position there, from 0.",
    "number": "0 for a missing number, 1 for one that is not in `values`, else 2 plus "
    "its position there; compared exactly, in float64.",
    "month": "0 for a missing date, else the month from 1 (January) to 12.",
    "weekday": "0 for a missing date, else the day from 1 (Monday) to 7.",
    "hour": "0 for a missing date, else 1 plus the hour from 0 to 23.",
    "words": "The text in lower case, without the characters ' and U+2019; every run "
    "of other punctuation and symbols (Unicode categories P and S) becomes a space; "
    "split at white space. The first `tokens` words get a code each: 1 for a word that "
    "is not in `vocabulary`, else 2 plus its position there. The rest of the row is "
    "0.",
}


def encoding(features: TabularFeatures) -> Config:
    """Describes the encoding of a table, vocabularies and statistics included.

    Args:
        features: What is known of the columns.

    Returns:
        Plain data that JSON keeps exactly: `columns`, as of
        `TabularFeatures.get_config()`; `arrays`, what the trained core takes, by name:
        type, shape of a row, and in `order` which column and which rule makes each
        number; and `rules`, in words.
    """
    specs = features.encoded_inputs()
    orders = {
        "numeric": _numbers(features),
        "categorical": _codes(features),
        "text": _texts(features),
    }
    arrays = {
        name: {
            "dtype": str(spec.dtype),
            "shape": list(spec.shape[1:]),
            "order": orders[name],
        }
        for name, spec in specs.items()
    }
    used = {entry["rule"] for order in orders.values() for entry in order}
    rules = {name: text for name, text in _RULES.items() if name in used}
    return {**features.get_config(), "arrays": arrays, "rules": rules}


def _numbers(features: TabularFeatures) -> list[dict[str, Any]]:
    scalars = [c for c in features.columns if isinstance(c, ScalarColumn)]
    channels = [_entry(c.name, "standardized") for c in scalars]
    return channels + [_entry(c.name, "indicator") for c in scalars if c.indicator]


def _codes(features: TabularFeatures) -> list[dict[str, Any]]:
    columns = features.columns
    names = [c.name for c in columns if isinstance(c, CategoricalColumn)]
    slots = [_entry(name, "category") for name in names]
    numbers = [c for c in columns if isinstance(c, NumericColumn) and c.values]
    slots += [_entry(c.name, "number") for c in numbers]
    dates = [c for c in columns if isinstance(c, DateColumn)]
    return slots + [_entry(c.name, part) for c in dates for part in c.parts]


def _texts(features: TabularFeatures) -> list[dict[str, Any]]:
    names = [c.name for c in features.columns if isinstance(c, TextColumn)]
    return [_entry(name, "words") for name in names]


def _entry(column: str, rule: str) -> dict[str, Any]:
    return {"column": column, "rule": rule}
