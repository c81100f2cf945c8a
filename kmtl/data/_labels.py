"""Labels of one task: whatever the user has -> floats, NaN where missing."""

from collections.abc import Hashable
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from kmtl._checks import did_you_mean, shorten
from kmtl._typing import Shape
from kmtl.tasks import BinaryTask, MulticlassTask, Task, class_values

# NumPy kinds of truth values, integers and floats.
_NUMERIC = "biuf"


def encode_labels(task: Task, values: Any, shape: Shape) -> np.ndarray:
    """Encodes the labels of a task.

    Args:
        task: The task, with known classes.
        values: A Series, array, list or tensor of labels, one a row.
        shape: The shape of one row's labels: `()`, unless the task has its own head.

    Returns:
        Float64 array `(rows, *shape)`: 0 and 1, class ids, or numbers; NaN for missing.

    Raises:
        ValueError: If a label is not what the task expects.
    """
    raw = _fit_shape(task, _to_array(task, values), shape)
    flat = raw.ravel()
    if flat.dtype.kind in _NUMERIC:
        encoded = _encode_values(task, flat)
    else:  # each distinct value once: Python objects are slow
        codes, uniques = _factorized(task, flat)
        encoded = np.append(_encode_values(task, uniques), np.nan)[codes]
    encoded = encoded.reshape(raw.shape)
    _check_finite(task, encoded)
    return encoded


def has_labels(task: Task, values: Any) -> bool:
    """Whether any label is not missing."""
    flat = _values_in(task, values)
    return not _missing_mask(task, flat).all()


def distinct_labels(task: Task, values: Any) -> list[Any]:
    """Returns the distinct labels but missing ones, sorted if they can be compared."""
    flat = _values_in(task, values)
    return _distinct(flat[~_missing_mask(task, flat)])


def _values_in(task: Task, values: Any) -> np.ndarray:
    """Returns all labels if they are numbers, else the distinct ones."""
    flat = _to_array(task, values).ravel()
    return flat if flat.dtype.kind in _NUMERIC else _factorized(task, flat)[1]


def _encode_values(task: Task, flat: np.ndarray) -> np.ndarray:
    missing = _missing_mask(task, flat)
    present = flat[~missing]
    if isinstance(task, BinaryTask):
        codes = _binary_codes(task, present)
    elif isinstance(task, MulticlassTask):
        codes = _class_codes(task, present)
    else:
        codes = _numbers(task, present)
    encoded = np.full(flat.shape, np.nan)
    encoded[~missing] = codes
    return encoded


def _factorized(task: Task, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns positions of labels among their distinct values (-1: missing), these."""
    try:
        codes, uniques = pd.factorize(flat)
    except TypeError as error:  # not hashable: lists, dicts, arrays
        raise _no_column(task, flat[0]) from error
    return codes, uniques


def _to_array(task: Task, values: Any) -> np.ndarray:
    """Turns labels of any container into a NumPy array; missing ones stay visible.

    Returns:
        An array of numbers, truth values or Python objects.

    Raises:
        ValueError: If the labels are dates, complex numbers or no array at all.
    """
    try:
        array = values_of(values)
    except ValueError as error:  # rows of different lengths
        raise _no_column(task, values) from error
    if array.dtype.kind not in f"{_NUMERIC}O":
        raise ValueError(
            f"Labels of task {task.name!r} must be numbers, booleans or strings. "
            f"Received: dtype={array.dtype}. Turn dates into numbers first."
        )
    if array.ndim == 0:
        raise _no_column(task, values)
    return array


def _no_column(task: Task, received: Any) -> ValueError:
    return ValueError(
        f"Labels of task {task.name!r} must be one value a row. Received: {received!r}."
    )


def values_of(values: Any) -> np.ndarray:
    """Turns a container of any kind into a NumPy array; text becomes Python strings."""
    if isinstance(values, pd.DataFrame):
        values = values.to_numpy()
    if isinstance(values, (pd.Series, pd.Index, pd.Categorical)):
        values = _series_to_array(pd.Series(values))
    array = np.asarray(values)
    if array.dtype.kind in "SU" and isinstance(values, (list, tuple)):
        array = np.array(values, dtype=object)  # NumPy has turned NaN into "nan"
    if array.dtype.kind in "SUT":
        array = array.astype(object)
    if array.dtype.kind == "O" and pd.api.types.infer_dtype(array.ravel()) == "bytes":
        return _decoded(array)  # the strings of TensorFlow
    return array


def _series_to_array(series: pd.Series) -> np.ndarray:
    dtype = series.dtype
    if isinstance(dtype, np.dtype) or not series.hasnans:
        values = series.to_numpy()
    elif pd.api.types.is_float_dtype(dtype):
        values = series.to_numpy(dtype="float64", na_value=np.nan)
    else:  # exact, also for integers above 2**53
        values = series.astype(object).to_numpy()
    return values


def _decoded(array: np.ndarray) -> np.ndarray:
    texts = [v.decode() if isinstance(v, bytes) else v for v in array.ravel()]
    decoded = np.empty(len(texts), dtype=object)
    decoded[:] = texts
    return decoded.reshape(array.shape)


def _missing_mask(task: Task, flat: np.ndarray) -> np.ndarray:
    """Marks NaN, None, `pd.NA` and the value that the task calls missing."""
    missing = np.asarray(pd.isna(flat))
    if task.missing is None:
        return missing
    return missing | _equal(flat, task.missing)


def _fit_shape(task: Task, raw: np.ndarray, shape: Shape) -> np.ndarray:
    if raw.ndim == len(shape) + 2 and raw.shape[-1] == 1:
        raw = raw[..., 0]
    if isinstance(task, MulticlassTask) and raw.ndim == len(shape) + 2:
        raise ValueError(
            f"Labels of MulticlassTask({task.name!r}) must be one class a row, not "
            "one-hot rows; pass `labels.argmax(axis=-1)`. "
            f"Received: shape={raw.shape}."
        )
    fits = raw.ndim == len(shape) + 1 and all(
        want is None or want == have
        for want, have in zip(shape, raw.shape[1:], strict=True)
    )
    if not fits:
        expected = ", ".join("?" if n is None else str(n) for n in ("rows", *shape))
        raise ValueError(
            f"Labels of task {task.name!r} must have shape ({expected}). "
            f"Received: shape={raw.shape}."
        )
    return raw


def _binary_codes(task: BinaryTask, present: np.ndarray) -> np.ndarray:
    if task.classes not in (None, (0, 1)):
        _check_known(task, present, class_values(task))
        return _equal(present, class_values(task)[1]).astype("float64")
    if task.classes is None and task.positive is not None:
        _check_same_kind(task, present, task.positive)
        return _equal(present, task.positive).astype("float64")
    numbers = as_numbers(present)
    if numbers is None:
        raise ValueError(
            f"Labels of BinaryTask({task.name!r}) are not 0 and 1; name the value that "
            f"counts as 1 with `positive=`. Received: {shorten(_distinct(present))}."
        )
    if not ((numbers == 0) | (numbers == 1)).all():
        raise ValueError(
            f"Labels of BinaryTask({task.name!r}) must be 0 and 1; "
            f"{_binary_remedy(numbers)}. Received: {shorten(_distinct(numbers))}."
        )
    return numbers


def _binary_remedy(numbers: np.ndarray) -> str:
    if np.isin(numbers, (-1.0, 0.0, 1.0)).all():
        return (
            "pass `positive=1` if -1 means no, or `missing=-1` if it means that the "
            "label is missing"
        )
    return "name the value that counts as 1 with `positive=`"


def _check_same_kind(task: BinaryTask, present: np.ndarray, positive: Hashable) -> None:
    """Text never equals a number: all labels would silently count as 0."""
    is_text = isinstance(positive, str)
    if len(present) and not any(isinstance(v, str) == is_text for v in present):
        raise ValueError(
            f"`positive` of BinaryTask({task.name!r}) is of another kind than the "
            f"labels. Received: positive={positive!r}, labels "
            f"{shorten(_distinct(present))}."
        )


def _class_codes(task: MulticlassTask, present: np.ndarray) -> np.ndarray:
    classes = class_values(task)
    if present.dtype.kind in "iuf" and classes == tuple(range(len(classes))):
        inside = (present >= 0) & (present < len(classes))
        if inside.all() and (present == np.floor(present)).all():
            return present.astype("float64")
    return _check_known(task, present, classes).astype("float64")


def _check_known(
    task: BinaryTask | MulticlassTask, present: np.ndarray, classes: tuple[Any, ...]
) -> np.ndarray:
    """Returns the positions of labels among the classes; an unknown one is an error."""
    known = pd.Index(list(classes), dtype=object)
    positions = known.get_indexer(pd.Index(present, dtype=object))
    unknown = positions < 0
    if unknown.any():
        values = _distinct(present[unknown])
        raise ValueError(
            f"Labels of task {task.name!r} must be among its classes, "
            f"{shorten(classes)}. Received: {shorten(values)}."
            f"{did_you_mean(values[0], classes)} Name all classes with `classes=`, or "
            "the value for unlabelled rows with `missing=`."
        )
    return positions


def _numbers(task: Task, present: np.ndarray) -> np.ndarray:
    numbers = as_numbers(present)
    if numbers is None:
        wrong = [value for value in _distinct(present) if not _is_numeric(value)]
        raise ValueError(
            f"Labels of {type(task).__name__}({task.name!r}) must be numbers. "
            f"Received: {shorten(wrong, 3)}. Convert text, e.g. with `pd.to_numeric`."
        )
    return numbers


def _check_finite(task: Task, encoded: np.ndarray) -> None:
    infinite = np.isinf(encoded)
    if infinite.any():
        raise ValueError(
            f"Labels of {type(task).__name__}({task.name!r}) must be finite; use NaN "
            f"for a missing label. Received: {encoded[infinite][0]} in row "
            f"{int(np.argwhere(infinite)[0][0])}."
        )


def as_numbers(present: np.ndarray) -> np.ndarray | None:
    """Returns labels as floats, or `None` where one is no number; text is none."""
    if present.dtype.kind in _NUMERIC or all(map(_is_numeric, present)):
        return present.astype("float64")
    return None


def _distinct(present: np.ndarray) -> list[Any]:
    """Returns the distinct values, sorted where they can be compared."""
    values = [v.item() if isinstance(v, np.generic) else v for v in pd.unique(present)]
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=str)


def _equal(values: np.ndarray, value: Hashable) -> np.ndarray:
    if values.dtype.kind not in _NUMERIC:
        return np.array([v == value for v in values], dtype=bool)
    if isinstance(value, str):
        return np.zeros(values.shape, dtype=bool)
    return values == value


def _is_numeric(value: Any) -> bool:
    return isinstance(value, (Real, Decimal, np.bool_))
