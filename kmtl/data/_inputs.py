"""Inputs of any form -> what the trained core takes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from kmtl._checks import did_you_mean, shorten
from kmtl._typing import Shape
from kmtl.features import TabularFeatures

InputSpecs = Mapping[str, tuple[Shape, str]]


def encode_inputs(x: Any, specs: InputSpecs, features: TabularFeatures | None) -> Any:
    """Turns a frame, an array or a dict of either into arrays by input name.

    Args:
        x: Inputs of some rows.
        specs: Shape (without rows) and dtype of each input of the model.
        features: The features of a model that was built on a table.

    Returns:
        A dict of arrays by input name.

    Raises:
        ValueError: If something is missing, has another shape, or is not a number.
        TypeError: If the form of `x` is not supported.
    """
    if features is not None and not _is_encoded(x, specs):
        return features.encode(_as_frame(x))
    if isinstance(x, pd.DataFrame):
        raise TypeError(
            "`x` must be arrays: this model was not built from a frame. Received: a "
            "DataFrame. Build the model with `build_mtl_model(frame, tasks)`, or pass "
            "arrays."
        )
    arrays = _by_name(x, specs)
    checked = {n: _check_array(arrays[n], n, *specs[n]) for n in specs}
    lengths = {name: len(array) for name, array in checked.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"Inputs must have the same rows. Received: {lengths}.")
    return checked


def rows_of(inputs: Mapping[str, np.ndarray]) -> int:
    """Returns the number of rows, or raises `ValueError` when there are none."""
    rows = len(next(iter(inputs.values())))
    if rows == 0:
        raise ValueError("`x` must hold at least one row. Received: 0 rows.")
    return rows


def _is_encoded(x: Any, specs: InputSpecs) -> bool:
    return isinstance(x, Mapping) and set(x) == set(specs)


def _as_frame(x: Any) -> pd.DataFrame:
    if isinstance(x, pd.DataFrame):
        return x
    if isinstance(x, Mapping):
        return pd.DataFrame({name: np.asarray(column) for name, column in x.items()})
    raise TypeError(
        "`x` must be a DataFrame or a dict of columns: this model was built from a "
        f"frame. Received: {type(x).__name__}."
    )


def _by_name(x: Any, specs: InputSpecs) -> Mapping[str, Any]:
    if not isinstance(x, Mapping):
        if len(specs) == 1:
            return {next(iter(specs)): x}
        raise ValueError(
            f"`x` must be a dict with the inputs {list(specs)}. "
            f"Received: {type(x).__name__}."
        )
    missing = [name for name in specs if name not in x]
    if missing:
        raise ValueError(
            f"`x` lacks the input {missing[0]!r}.{did_you_mean(missing[0], x)} "
            f"Received: {shorten(x)}."
        )
    return x


def _check_array(value: Any, name: str, shape: Shape, dtype: str) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"Input {name!r} must be numbers. Received: dtype={array.dtype}. Put text "
            "and categories into a DataFrame and build the model from it."
        )
    if array.ndim == len(shape) and len(shape) and shape[-1] == 1:
        array = array[..., np.newaxis]  # grey images and single columns without axis
    fits = array.ndim == len(shape) + 1 and all(
        want is None or want == have
        for want, have in zip(shape, array.shape[1:], strict=True)
    )
    if not fits:
        expected = ", ".join("?" if n is None else str(n) for n in ("rows", *shape))
        raise ValueError(
            f"Input {name!r} must have shape ({expected}). "
            f"Received: shape={array.shape}."
        )
    if array.dtype == np.uint8 and array.ndim > 2 and dtype != "uint8":
        raise ValueError(
            f"Input {name!r} holds uint8 pixels (0 to 255), but the model takes "
            f"{dtype}. Build it from the images themselves or from "
            "`keras.Input(shape, dtype='uint8')`, or divide by 255."
        )
    if array.dtype.kind == "f":
        _check_finite(array, name)
    return array


def _check_finite(array: np.ndarray, name: str) -> None:
    # The sum is finite unless an element is not (or it overflows: then look closer).
    with np.errstate(all="ignore"):
        if np.isfinite(np.sum(array, dtype="float64")):
            return
    wrong = ~np.isfinite(array)
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"Input {name!r} must be finite. Received: {array[where]} at {where} and "
            f"{int(wrong.sum()) - 1} more. Impute missing values, or build the model "
            "from a DataFrame, which does."
        )
