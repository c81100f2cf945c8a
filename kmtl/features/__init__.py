"""Tabular inputs: from a DataFrame to compact arrays, the same way in serving."""

from kmtl.features._columns import (
    BooleanColumn,
    CategoricalColumn,
    Column,
    DateColumn,
    NumericColumn,
    TextColumn,
)
from kmtl.features._tabular import TabularFeatures

__all__ = [
    "BooleanColumn",
    "CategoricalColumn",
    "Column",
    "DateColumn",
    "NumericColumn",
    "TabularFeatures",
    "TextColumn",
]
