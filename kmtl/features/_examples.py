"""How columns are kept in a `tf.Example`, in exports and in files to train on."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from kmtl.features._columns import Column, DateColumn
from kmtl.features._convert import MISSING_BOOLEAN, MISSING_INTEGER

MISSING_IN_EXAMPLES: Mapping[str, Any] = {
    "number": float("nan"),
    "integer": MISSING_INTEGER,
    "boolean": MISSING_BOOLEAN,
    "date": MISSING_INTEGER,
    "string": "",
}
"""By the kind of a column, what stands for a value that an example lacks."""

_TYPES = {"number": tf.float32, "string": tf.string}


def example_kind(column: Column) -> str:
    """Returns the kind of a column, a key of `MISSING_IN_EXAMPLES`."""
    if isinstance(column, DateColumn):
        return "date"
    if column.kind == "boolean":
        return "boolean"
    kinds = {"float64": "number", "int64": "integer", "string": "string"}
    return kinds[column.serving_dtype]


def example_feature(kind: str) -> tf.io.FixedLenFeature:
    """Returns how TensorFlow reads a column of a kind: one value, or none."""
    return tf.io.FixedLenFeature(
        (), _TYPES.get(kind, tf.int64), MISSING_IN_EXAMPLES[kind]
    )
