"""A frame -> what the preprocessing model takes -> the encoded arrays."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from kmtl._checks import did_you_mean, shorten
from kmtl._typing import Tensor
from kmtl.features._columns import BooleanColumn, Column, DateColumn, NumericColumn
from kmtl.features._convert import (
    Array,
    booleans,
    integers,
    numbers,
    seconds,
    strings,
)


def check_frame(frame: Any) -> None:
    """Raises unless `frame` is a DataFrame with rows and distinct string names."""
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(
            f"`frame` must be a pandas DataFrame. Received: {type(frame).__name__}."
        )
    for name in frame.columns:
        if not isinstance(name, str):
            raise TypeError(
                f"The columns of `frame` must have strings as names. Received: "
                f"{name!r}. Use frame.columns = [str(c) for c in frame.columns]."
            )
    repeated = frame.columns[frame.columns.duplicated()].unique()
    if len(repeated):
        raise ValueError(
            f"The columns of `frame` must have distinct names. "
            f"Repeated: {shorten(repeated)}."
        )
    if not len(frame):
        raise ValueError("`frame` must have at least one row. Received: no rows.")


def check_columns(frame: pd.DataFrame, names: Sequence[str]) -> None:
    """Raises `ValueError` for the first named column that the frame lacks."""
    for name in names:
        if name not in frame.columns:
            raise ValueError(
                f"`frame` lacks the column {name!r}, which the features were made "
                f"with.{did_you_mean(name, frame.columns)} "
                f"Received: {shorten(frame.columns)}."
            )


def raw_inputs(columns: Sequence[Column], frame: pd.DataFrame) -> dict[str, Tensor]:
    """Converts the columns of a checked frame to their serving types."""
    return {
        column.name: tf.convert_to_tensor(_raw(column, frame[column.name]))
        for column in columns
    }


def encode(
    run: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    specs: Mapping[str, keras.KerasTensor],
    columns: Sequence[Column],
    frame: pd.DataFrame,
    batch_size: int,
) -> dict[str, Array]:
    """Runs the preprocessing model over a checked frame, `batch_size` rows at once."""
    encoded = {
        key: np.empty((len(frame), *spec.shape[1:]), spec.dtype)
        for key, spec in specs.items()
    }
    for rows in _slices(len(frame), batch_size):
        batch = run(raw_inputs(columns, frame.iloc[rows]))
        for key, array in encoded.items():
            array[rows] = keras.ops.convert_to_numpy(batch[key])
    return encoded


def _slices(rows: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, rows, size))


def _raw(column: Column, series: pd.Series) -> Array | Tensor:
    if isinstance(column, NumericColumn):
        return numbers(series)
    if isinstance(column, BooleanColumn):
        return booleans(series)
    if isinstance(column, DateColumn):
        return seconds(series, column.aware)[0]
    if column.serving_dtype == "int64":
        return integers(series)
    uniques, codes = strings(series)
    return tf.gather(tf.constant(uniques), codes)
