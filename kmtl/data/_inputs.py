"""Inputs of any form -> what the trained core takes."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from kmtl._checks import did_you_mean, shorten
from kmtl._typing import Shape
from kmtl.data._labels import values_of
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
    if features is not None and not _is_encoded(x, specs, features):
        return features.encode(_as_frame(x))
    if isinstance(x, pd.DataFrame):
        raise TypeError(
            "`x` must be arrays: this model was not built from a frame. Received: a "
            "DataFrame. Build the model with `build_mtl_model(frame, tasks)`, or pass "
            "arrays."
        )
    arrays = _by_name(x, specs)
    checked = {n: _check_array(arrays[n], n, *specs[n]) for n in specs}
    _check_same_rows(checked)
    return checked


def raw_arrays(x: Any, features: TabularFeatures) -> dict[str, np.ndarray]:
    """Turns a frame, or a dict of columns, into what a server takes.

    Returns:
        Arrays `(rows,)` by column name; text as UTF-8 bytes.

    Raises:
        TypeError: If `x` is neither, or a column holds something else than in the
            training frame.
        ValueError: If a column is missing, is not one value a row, has another length
            or an infinite number.
    """
    tensors = features.raw_inputs(_as_frame(x))
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def rows_of(inputs: Mapping[str, np.ndarray]) -> int:
    """Returns the number of rows, or raises `ValueError` when there are none."""
    rows = len(next(iter(inputs.values())))
    if rows == 0:
        raise ValueError("`x` must hold at least one row. Received: 0 rows.")
    return rows


def check_names(names: Iterable[str], x: Mapping[str, Any]) -> None:
    """Raises `ValueError` for the first input or column that `x` lacks."""
    for name in names:
        if name not in x:
            raise ValueError(
                f"`x` lacks the input {name!r}.{did_you_mean(name, x)} "
                f"Received: {shorten(x)}."
            )


def check_form(
    name: str, have: tuple[Shape, str], want: tuple[Shape, str], rows: str = "rows"
) -> None:
    """Raises `ValueError` unless an array or tensor fits an input of the model.

    Args:
        name: The name of the input.
        have: Shape with rows, and dtype, of what there is.
        want: Shape without rows, and dtype, of the input.
        rows: What the first axis is called in the message.
    """
    (shape, dtype), (row_shape, wanted) = have, want
    if not (_is_integer(dtype) or _is_float(dtype) or dtype == "bool"):
        raise ValueError(
            f"Input {name!r} must be numbers. Received: dtype={dtype}. Put text and "
            "categories into a DataFrame and build the model from it."
        )
    if not _fits(shape, row_shape):
        expected = ", ".join("?" if n is None else str(n) for n in (rows, *row_shape))
        raise ValueError(
            f"Input {name!r} must have shape ({expected}). Received: shape={shape}."
        )
    if dtype == "uint8" and len(shape) > 2 and _is_float(wanted):
        raise ValueError(
            f"Input {name!r} holds uint8 pixels (0 to 255), but the model takes "
            f"{wanted}. Build it from the images themselves or from "
            "`keras.Input(shape, dtype='uint8')`, or divide by 255."
        )
    if _is_float(dtype) and _is_integer(wanted):
        raise ValueError(
            f"Input {name!r} must be integers ({wanted}): fractions would be cut off. "
            f"Received: dtype={dtype}. Convert it as for training, or build the model "
            "for floats."
        )


def _is_integer(dtype: str) -> bool:
    return dtype.startswith(("int", "uint"))


def _is_float(dtype: str) -> bool:
    return dtype.startswith(("float", "bfloat"))


def _fits(shape: Shape, row_shape: Shape) -> bool:
    pairs = zip(row_shape, shape[1:], strict=False)
    return len(shape) == len(row_shape) + 1 and all(
        want is None or have is None or want == have for want, have in pairs
    )


def _is_encoded(x: Any, specs: InputSpecs, features: TabularFeatures) -> bool:
    names = set(x) if isinstance(x, Mapping) else set()
    return names == set(specs) and names != set(features.names)


def _as_frame(x: Any) -> pd.DataFrame:
    if isinstance(x, pd.DataFrame):
        return x
    if not isinstance(x, Mapping):
        raise TypeError(
            "`x` must be a DataFrame or a dict of columns: this model was built from a "
            f"frame. Received: {type(x).__name__}."
        )
    columns = {name: _column(name, values) for name, values in x.items()}
    _check_same_rows(columns)
    return pd.DataFrame(columns)


def _column(name: str, values: Any) -> Any:
    if isinstance(values, (pd.Series, pd.Index)):
        return values.array  # by position: an index would be aligned
    array = values_of(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(
            f"Column {name!r} must be one value a row. Received: shape={array.shape}."
        )
    return array


def _check_same_rows(arrays: Mapping[str, Any]) -> None:
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"Inputs must have the same rows. Received: {lengths}.")


def _by_name(x: Any, specs: InputSpecs) -> Mapping[str, Any]:
    if isinstance(x, Mapping):
        check_names(specs, x)
        return x
    if len(specs) == 1:
        return {next(iter(specs)): x}
    raise ValueError(
        f"`x` must be a dict with the inputs {list(specs)}. "
        f"Received: {type(x).__name__}."
    )


def _check_array(value: Any, name: str, shape: Shape, dtype: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"Input {name!r} must be an array of numbers. Received: rows of different "
            "lengths. Pad them to one length."
        ) from error
    if array.ndim == len(shape) and len(shape) and shape[-1] == 1:
        array = array[..., np.newaxis]  # grey images and single columns without axis
    check_form(name, (array.shape, array.dtype.name), (shape, dtype))
    if array.dtype.kind == "f":
        _check_finite(array, name)
    elif array.size and _is_integer(dtype):
        _check_range(array, name, dtype)
    return array


def _check_range(array: np.ndarray, name: str, dtype: str) -> None:
    if np.can_cast(array.dtype, dtype):
        return
    limits = np.iinfo(dtype)
    lowest, highest = array.min(), array.max()
    if lowest < limits.min or highest > limits.max:
        raise ValueError(
            f"Input {name!r} must be from {limits.min} to {limits.max} ({dtype}). "
            f"Received: {lowest} to {highest}."
        )


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
