"""Rows to try an export on: made up from what is known of the inputs."""

import numpy as np
import tensorflow as tf

from kmtl.export._served import Served
from kmtl.features import (
    BooleanColumn,
    CategoricalColumn,
    Column,
    DateColumn,
    TextColumn,
)
from kmtl.features._convert import MISSING_INTEGER

ROWS = 8
# Where a dimension may have any length.
_LENGTH = 32


def sample_rows(served: Served) -> dict[str, np.ndarray]:
    """Makes up raw inputs by name, the same for the same model.

    Columns hold values as in training, values that never occurred there, and in the
    first row nothing but missing values. Numbers are such as float32 holds exactly.
    """
    rng = np.random.default_rng(0)
    return {
        name: _column(served.columns[name], rng)
        if name in served.columns
        else _array(spec, rng)
        for name, spec in served.inputs.items()
    }


def _column(column: Column, rng: np.random.Generator) -> np.ndarray:
    if isinstance(column, BooleanColumn):
        return np.resize(np.array([-1, 0, 1]), ROWS)
    if isinstance(column, CategoricalColumn | TextColumn):
        return _words(column, rng)
    numbers = column.center + column.scale * rng.normal(size=ROWS)
    numbers = numbers.astype(np.float32).astype(np.float64)
    if isinstance(column, DateColumn):
        numbers = np.floor(numbers)
    numbers[0] = np.nan
    return numbers


def _words(
    column: CategoricalColumn | TextColumn, rng: np.random.Generator
) -> np.ndarray:
    chosen = rng.choice(len(column.vocabulary), ROWS)
    known = [column.vocabulary[place] for place in chosen]
    if column.serving_dtype == "int64":
        return np.array([MISSING_INTEGER, MISSING_INTEGER + 1, *known[2:]], np.int64)
    words = ["", "never seen", *map(str, known[2:])]
    return np.array([word.encode() for word in words], dtype=object)


def _array(spec: tf.TensorSpec, rng: np.random.Generator) -> np.ndarray:
    shape = (ROWS, *(_LENGTH if n is None else n for n in spec.shape[1:]))
    if spec.dtype == tf.string:
        return np.full(shape, b"text", dtype=object)
    if spec.dtype.is_floating:
        return rng.uniform(size=shape).astype(spec.dtype.as_numpy_dtype)
    # Codes may be limited to few values; bytes are pixels.
    highest = 255 if spec.dtype == tf.uint8 else 1
    return rng.integers(0, highest, shape, endpoint=True).astype(
        spec.dtype.as_numpy_dtype
    )
