"""One pandas column of any dtype -> the plain array that is served for it.

Missing values become NaN (numbers, dates), -1 (truth values), the smallest int64
(integer categories) or an empty string. A value of the wrong type is an error that
names the column; it is never converted silently.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

MISSING_INTEGER = int(np.iinfo(np.int64).min)
MISSING_BOOLEAN = -1

Array: TypeAlias = np.ndarray[Any, Any]

_OBJECT_KINDS = {
    "string": "text",
    "boolean": "boolean",
    "integer": "number",
    "floating": "number",
    "decimal": "number",
    "mixed-integer-float": "number",
    "timedelta": "number",
    "date": "date",
    "datetime": "date",
    "datetime64": "date",
    "empty": "empty",
}
_ISO_DATE = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}:?\d{2})?"
)


def value_kind(series: pd.Series) -> str:
    """Says what a column holds, whatever pandas calls its dtype.

    Returns:
        `"number"`, `"boolean"`, `"date"`, `"text"` (any string), `"category"` or
        `"empty"` (nothing but missing values).
    """
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return "category"
    if series.isna().all():
        return "empty"
    if pd.api.types.is_bool_dtype(dtype):
        return "boolean"
    if pd.api.types.is_complex_dtype(dtype):
        raise _wrong_dtype(series)
    if pd.api.types.is_numeric_dtype(dtype) or dtype.kind == "m":
        return "number"
    if dtype.kind == "M" or isinstance(dtype, pd.PeriodDtype):
        return "date"
    if isinstance(dtype, pd.StringDtype):
        return "text"
    return _object_kind(series)


def numbers(series: pd.Series) -> Array:
    """Returns a column of numbers as float64, missing values as NaN.

    Raises:
        TypeError: If the column holds something else.
        ValueError: If a number is infinite.
    """
    series = _without_category(series)
    kind = value_kind(series)
    if kind not in ("number", "boolean", "empty"):
        raise _wrong_kind(series, "numbers", "pd.to_numeric(frame[{name!r}])")
    if kind == "empty":
        return np.full(len(series), np.nan)
    if series.dtype.kind == "m" or _inferred(series) == "timedelta":
        return pd.to_timedelta(series).dt.total_seconds().to_numpy(dtype=np.float64)
    values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    _check_finite(series, values)
    return values


def booleans(series: pd.Series) -> Array:
    """Returns a column of truth values as int64: 1, 0, and -1 for missing.

    Numbers are taken if they are all 0 or 1.

    Raises:
        TypeError: If the column holds something else.
    """
    series = _without_category(series)
    if value_kind(series) not in ("boolean", "number", "empty"):
        raise _wrong_kind(series, "truth values", "frame[{name!r}] == ...")
    values = numbers(series)
    known = values[~np.isnan(values)]
    odd = known[(known != 0) & (known != 1)]
    if odd.size:
        raise TypeError(
            f"Column {series.name!r} holds truth values: True, False, 1 or 0. "
            f"Received: {odd[0]:g}."
        )
    return np.where(np.isnan(values), MISSING_BOOLEAN, values).astype(np.int64)


def integers(series: pd.Series) -> Array:
    """Returns integer categories as int64, missing values as the smallest int64.

    Raises:
        TypeError: If the column holds something else, or fractions.
    """
    series = _without_category(series)
    if value_kind(series) not in ("number", "boolean", "empty"):
        raise _wrong_kind(series, "integer categories", "frame[{name!r}].astype(int)")
    values = numbers(series)
    known = ~np.isnan(values)
    odd = known & ((values != np.floor(values)) | (np.abs(values) >= 2.0**63))
    if odd.any():
        raise TypeError(
            f"Column {series.name!r} must hold integer categories that fit in int64. "
            f"Received: {values[odd][0]:g}. For other numbers as categories use "
            f"strings: frame[{series.name!r}].astype(str)."
        )
    if pd.api.types.is_integer_dtype(series.dtype):  # exact above 2**53
        return series.to_numpy(dtype=np.int64, na_value=MISSING_INTEGER)
    codes = np.full(len(values), MISSING_INTEGER, np.int64)
    codes[known] = values[known].astype(np.int64)
    return codes


def strings(series: pd.Series) -> tuple[Array, Array]:
    """Returns a column of strings as its distinct values and their positions.

    Only the distinct values are turned into Python strings: converting every row
    costs most of the encoding time of a frame.

    Returns:
        `(uniques, codes)`: an object array that ends with the empty string, the
        missing value, and for each row its position in there.

    Raises:
        TypeError: If the column holds something else.
    """
    kind = value_kind(category_values(series))
    if kind == "empty":
        return np.array([""], dtype=object), np.zeros(len(series), np.int64)
    if kind != "text":
        raise _wrong_kind(series, "strings", "frame[{name!r}].astype(str)")
    codes, uniques = pd.factorize(series)
    values = np.append(np.asarray(uniques, dtype=object), "")
    return values, np.where(codes < 0, len(uniques), codes)


def seconds(series: pd.Series, aware: bool | None = None) -> tuple[Array, bool]:
    """Returns dates as float64 seconds since 1970-01-01, missing values as NaN.

    Strings are read as ISO 8601.

    Args:
        series: Dates, times, periods or ISO strings.
        aware: Whether the column must have a time zone; `None` takes either.

    Returns:
        The seconds, of UTC if the column has a time zone, and whether it has one.

    Raises:
        TypeError: If the column holds something else, or has a time zone where it
            should not, or the other way round.
    """
    series = _without_category(series)
    if value_kind(series) == "empty":
        return np.full(len(series), np.nan), bool(aware)
    if isinstance(series.dtype, pd.ArrowDtype):  # lacks half of pandas' date methods
        series = series.astype(object)
    times = _as_datetimes(series)
    found = times.dt.tz is not None
    if aware is not None and found != aware:
        raise TypeError(
            f"Column {series.name!r} had {'a' if aware else 'no'} time zone in the "
            f"training frame. Received: {times.dtype}. Use "
            f"frame[{series.name!r}].dt.tz_localize(...)."
        )
    ticks = times.dt.as_unit("us").to_numpy(dtype="datetime64[us]")
    known = ~np.isnat(ticks)
    result = np.full(len(ticks), np.nan)
    result[known] = ticks[known].astype(np.int64) / 1e6
    return result, found


def category_values(series: pd.Series) -> pd.Series:
    """Returns the categories of a pandas category column, other columns as they are."""
    if not isinstance(series.dtype, pd.CategoricalDtype):
        return series
    return pd.Series(series.cat.categories, name=series.name)


def looks_like_dates(uniques: Iterable[str]) -> bool:
    """Says whether every string, the empty ones aside, is an ISO 8601 date."""
    known = [value for value in uniques if value]
    return bool(known) and all(_ISO_DATE.fullmatch(value) for value in known)


def _as_datetimes(series: pd.Series) -> pd.Series:
    kind = value_kind(series)
    if isinstance(series.dtype, pd.PeriodDtype):
        return series.dt.to_timestamp()
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        return series
    if kind not in ("date", "text"):
        raise _wrong_kind(series, "dates", "pd.to_datetime(frame[{name!r}], unit=...)")
    try:
        values = series.astype(object).replace("", None)
        return pd.to_datetime(values, format="ISO8601")
    except ValueError as error:
        raise TypeError(
            f"Column {series.name!r} holds dates: datetimes or ISO 8601 strings, all "
            f"with or all without one time zone. Received: {error} "
            f"Use pd.to_datetime(frame[{series.name!r}], format=..., utc=...)."
        ) from error


def _object_kind(series: pd.Series) -> str:
    inferred = _inferred(series)
    if inferred in _OBJECT_KINDS:
        return _OBJECT_KINDS[inferred]
    values = series.dropna()
    if all(isinstance(v, Real | Decimal) for v in values):  # True and 1.0, say
        return "number"
    first = values.iloc[0]
    others = values[[type(v) is not type(first) for v in values]]
    if others.empty:
        raise _wrong_dtype(series)
    raise TypeError(
        f"Column {series.name!r} must hold values of one type. Received: {first!r} and "
        f"{others.iloc[0]!r}. Convert it, e.g. with frame[{series.name!r}].astype(str)."
    )


def _inferred(series: pd.Series) -> str:
    return pd.api.types.infer_dtype(series, skipna=True)


def _without_category(series: pd.Series) -> pd.Series:
    if not isinstance(series.dtype, pd.CategoricalDtype):
        return series
    values = category_values(series).reindex(series.cat.codes.to_numpy())
    return values.set_axis(series.index)


def _check_finite(series: pd.Series, values: Array) -> None:
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        raise ValueError(
            f"Column {series.name!r} must be finite. Received: "
            f"{values[infinite[0]]} in row {series.index[infinite[0]]!r} "
            f"({infinite.size} such rows). Replace infinity by NaN, the missing value, "
            "or by a number."
        )


def _first(series: pd.Series) -> Any:
    """Returns the first value, as a Python value: its repr is shorter than NumPy's."""
    return series.dropna().head(1).tolist()[0]


def _wrong_dtype(series: pd.Series) -> TypeError:
    return TypeError(
        f"Column {series.name!r} must hold numbers, truth values, dates or strings. "
        f"Received: {_first(series)!r} (dtype {series.dtype}). Convert it or "
        "leave it out with `exclude=`."
    )


def _wrong_kind(series: pd.Series, expected: str, remedy: str) -> TypeError:
    return TypeError(
        f"Column {series.name!r} must hold {expected}. "
        f"Received: {_first(series)!r} (dtype {series.dtype}). "
        f"Convert it, e.g. with {remedy.format(name=series.name)}."
    )
