"""Labels of one task: whatever the user has -> floats, NaN where missing."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from kmtl._checks import did_you_mean, shorten
from kmtl.tasks import BinaryTask, MulticlassTask, Task, class_values


def encode_labels(task: Task, values: Any, shape: tuple[int | None, ...]) -> np.ndarray:
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
    raw = to_array(task, values)
    raw = _fit_shape(task, raw, shape)
    flat = raw.ravel()
    missing = missing_mask(task, flat)
    if isinstance(task, BinaryTask):
        codes = _binary_codes(task, flat[~missing])
    elif isinstance(task, MulticlassTask):
        codes = _class_codes(task, flat[~missing])
    else:
        codes = _numbers(task, flat[~missing])
    encoded = np.full(flat.shape, np.nan)
    encoded[~missing] = codes
    return encoded.reshape(raw.shape)


def to_array(task: Task, values: Any) -> np.ndarray:
    """Turns labels of any container into a NumPy array; missing ones stay visible."""
    if isinstance(values, pd.DataFrame):
        values = values.to_numpy()
    if isinstance(values, (pd.Series, pd.Index, pd.Categorical)):
        values = _series_to_array(pd.Series(values))
    array = np.asarray(values)
    if array.dtype.kind in "SUT":
        array = array.astype(object)
    if array.dtype.kind in "mM":
        raise ValueError(
            f"Labels of task {task.name!r} must be numbers, booleans or strings. "
            f"Received: dtype={array.dtype}. Turn dates into numbers first."
        )
    if array.ndim == 0:
        raise ValueError(
            f"Labels of task {task.name!r} must be one a row. Received: {values!r}."
        )
    return array


def _series_to_array(series: pd.Series) -> np.ndarray:
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return series.astype(object).to_numpy()
    if pd.api.types.is_bool_dtype(dtype) and series.hasnans:
        return series.astype(object).to_numpy()
    if pd.api.types.is_numeric_dtype(dtype) and not isinstance(dtype, np.dtype):
        return series.to_numpy(dtype="float64", na_value=np.nan)
    return series.to_numpy()


def missing_mask(task: Task, flat: np.ndarray) -> np.ndarray:
    """Marks NaN, None, `pd.NA` and the value that the task calls missing."""
    missing = np.asarray(pd.isna(flat))
    if task.missing is None:
        return missing
    return missing | np.asarray(pd.Series(flat) == task.missing, dtype=bool)


def _fit_shape(
    task: Task, raw: np.ndarray, shape: tuple[int | None, ...]
) -> np.ndarray:
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
    positive = task.positive
    if task.classes is not None:
        _check_known(task, present, tuple(task.classes))
        positive = task.classes[1]
    if positive is not None:
        return _equal(present, positive).astype("float64")
    if present.dtype.kind == "O" and not _is_numeric(present):
        raise ValueError(
            f"Labels of BinaryTask({task.name!r}) are not 0 and 1; name the value that "
            f"counts as 1 with `positive=`. Received: {shorten(distinct(present))}."
        )
    numbers = present.astype("float64")
    values = np.unique(numbers)
    if not np.isin(values, (0.0, 1.0)).all():
        hint = "name the value that counts as 1 with `positive=`"
        if np.isin(values, (-1.0, 0.0, 1.0)).all():
            hint = (
                "pass `positive=1` if -1 means no, or `missing=-1` if it means that "
                "the label is missing"
            )
        raise ValueError(
            f"Labels of BinaryTask({task.name!r}) must be 0 and 1; {hint}. "
            f"Received: {shorten(values.tolist())}."
        )
    return numbers


def _class_codes(task: MulticlassTask, present: np.ndarray) -> np.ndarray:
    classes = class_values(task)
    if classes == tuple(range(len(classes))) and present.dtype.kind in "iuf":
        inside = (present >= 0) & (present < len(classes))
        if inside.all() and (present == np.floor(present)).all():
            return present.astype("float64")
    _check_known(task, present, classes)
    index = pd.Index(list(classes), dtype=object)
    return index.get_indexer(pd.Index(present, dtype=object)).astype("float64")


def _check_known(
    task: BinaryTask | MulticlassTask, present: np.ndarray, classes: tuple[Any, ...]
) -> None:
    known = pd.Index(list(classes), dtype=object)
    unknown = known.get_indexer(pd.Index(present, dtype=object)) < 0
    if unknown.any():
        values = distinct(present[unknown])
        raise ValueError(
            f"{int(unknown.sum())} labels of task {task.name!r} are none of its "
            f"classes. Received: {shorten(values)}.{did_you_mean(values[0], classes)} "
            f"Classes: {shorten(classes)}. Name all of them with `classes=`, or the "
            "value for unlabelled rows with `missing=`."
        )


def _numbers(task: Task, present: np.ndarray) -> np.ndarray:
    try:
        numbers = present.astype("float64")
    except (TypeError, ValueError) as error:
        wrong = [value for value in present.ravel() if not _is_number(value)]
        raise ValueError(
            f"Labels of {type(task).__name__}({task.name!r}) must be numbers. "
            f"Received: {shorten(wrong, 3)}."
        ) from error
    infinite = np.isinf(numbers)
    if infinite.any():
        raise ValueError(
            f"Labels of {type(task).__name__}({task.name!r}) must be finite; use NaN "
            f"for a missing label. Received: {numbers[infinite][0]} at position "
            f"{int(np.flatnonzero(infinite)[0])} of the labelled rows."
        )
    return numbers


def distinct(present: np.ndarray) -> list[Any]:
    """Returns the distinct values, sorted where they can be compared."""
    values = [v.item() if isinstance(v, np.generic) else v for v in pd.unique(present)]
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=str)


def _equal(present: np.ndarray, value: Hashable) -> np.ndarray:
    return np.asarray(pd.Series(present) == value, dtype=bool)


def _is_numeric(present: np.ndarray) -> bool:
    return all(_is_number(value) for value in distinct(present))


def _is_number(value: Any) -> bool:
    return isinstance(value, (bool, int, float, np.number, np.bool_))
