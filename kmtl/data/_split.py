"""A frame -> parts to train, validate and test on, fair to every task."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from kmtl._checks import as_tuple, check_count, check_known_keys, is_number
from kmtl.data._split_labels import check_label_columns, labels_to_balance
from kmtl.data._split_time import cut_in_time
from kmtl.data._stratify import sizes, stratify
from kmtl.features._encode import check_frame
from kmtl.tasks import Task, check_tasks


def split(
    frame: pd.DataFrame,
    tasks: Sequence[Task],
    shares: Sequence[float],
    *,
    groups: str | None = None,
    time: str | None = None,
    seed: int = 0,
) -> tuple[pd.DataFrame, ...]:
    """Splits a frame into parts in which all tasks have their share of labels.

    Every class of every task, every tenth of the values of a regression, and the
    missing labels of a task occur in each part as often as its share of the rows says,
    or as near to that as can be. So a part has its share of the labels of a task that
    few rows have labels of, and of the positives of one that is rarely positive. With
    a few tasks counts are within a row of the share, as a rule; for one task and two
    parts always. With hundreds of sparse tasks some are a few rows off, a fraction of
    what random parts are. Classes too rare for each part to have a row of also count
    together, as one class.

    Args:
        frame: The rows. They stay in order and keep their index.
        tasks: The tasks; their classes need not be known. Labels count as in training:
            see `missing` and `only_if` of `Task`.
        shares: The share of each part, such as `(0.8, 0.1, 0.1)`; two or more that sum
            to 1. Without `groups` and `time` the parts have these shares of the rows,
            rounded.
        groups: Name of a column: rows with the same value in it go to the same part,
            such as all visits of a patient. Groups are dealt whole, so large ones can
            keep parts from their shares; each part has at least one.
        time: Name of a column of dates or numbers: every row of a part is earlier than
            all rows of the next. Labels are not balanced then. Rows of equal time stay
            together; so do those of a group: a cut never goes through one.
        seed: Another seed deals other rows. With `time` nothing is drawn.

    Returns:
        One frame a part. Each row is in exactly one of them.

    Raises:
        TypeError: If `frame` is no DataFrame or `tasks` are no tasks.
        ValueError: If a column is not there, or labels, groups or times are not what
            they must be; if shares do not sum to 1; or if there are too few rows,
            groups or times for the parts.

    Reference:
        Sechidis, Tsoumakas, Vlahavas, "On the Stratification of Multi-Label Data",
        ECML PKDD 2011. Like there, rare labels are dealt first. Unlike there, a row
        goes where it does least harm to all its labels, not just to the rarest one;
        parts fill at one pace; and swaps then improve on the result.

    Example:
        >>> import kmtl, pandas as pd
        >>> frame = pd.DataFrame({"sick": [1, 0, 0, 0] * 5, "age": range(20)})
        >>> tasks = [kmtl.BinaryTask("sick"), kmtl.RegressionTask("age")]
        >>> train, test = kmtl.data.split(frame, tasks, (0.8, 0.2))
        >>> len(train), train["sick"].sum(), len(test), test["sick"].sum()
        (16, np.int64(4), 4, np.int64(1))
    """
    check_frame(frame)
    tasks = check_tasks(tasks)
    check_label_columns(frame, tasks)
    check_count(seed, "seed")
    portions = _checked_shares(shares, len(frame))
    owners = None if groups is None else _codes_of(frame, groups, "groups", portions)
    if time is not None:
        moments = _codes_of(frame, time, "time", portions)
        part = cut_in_time(moments, owners, portions, time)
    else:
        rng = np.random.default_rng(seed)
        labels, weights = labels_to_balance(frame, tasks, portions.min())
        part = stratify(labels, weights, portions, rng, owners)
    return tuple(frame.iloc[np.flatnonzero(part == k)] for k in range(len(portions)))


def _checked_shares(shares: Sequence[float], rows: int) -> np.ndarray:
    given = as_tuple(shares, "shares")
    if len(given) < 2 or not all(is_number(s) and 0 < s < 1 for s in given):
        raise ValueError(
            "`shares` must be two or more numbers between 0 and 1, one a part. "
            f"Received: {shares!r}."
        )
    if not math.isclose(sum(given), 1, abs_tol=1e-6):
        raise ValueError(
            f"`shares` must sum to 1. Received: {shares!r}, which sum to "
            f"{sum(given):.6g}."
        )
    portions = np.array(given, "float64") / sum(given)
    if not sizes(rows, portions).all():
        raise ValueError(
            "`frame` must have a row for each part, by its share. Received: "
            f"{rows} rows, shares={shares!r}."
        )
    return portions


def _codes_of(
    frame: pd.DataFrame, name: str, argument: str, portions: np.ndarray
) -> np.ndarray:
    """Numbers the values of a column, in their order where they are times."""
    if not isinstance(name, str):
        raise ValueError(f"`{argument}` must name a column. Received: {name!r}.")
    check_known_keys([name], frame.columns, argument, "column")
    column = frame[name]
    if argument == "time":
        _check_times(column)
    missing = column.isna().to_numpy()
    if missing.any():
        raise ValueError(
            f"`{argument}` must have a value in every row. Received: column {name!r} "
            f"without one in {missing.sum()} rows, the first is row "
            f"{missing.argmax()}. Drop or fill them."
        )
    codes, values = pd.factorize(column, sort=argument == "time")
    if len(values) < len(portions):
        raise ValueError(
            f"`{argument}` must have at least as many values as there are parts, "
            f"{len(portions)}. Received: column {name!r} with {len(values)}."
        )
    return codes


def _check_times(column: pd.Series) -> None:
    dtype = column.dtype
    is_time = isinstance(dtype, pd.PeriodDtype) or (
        pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
    )
    if not (is_time or dtype.kind in "mM"):
        raise ValueError(
            "`time` must name a column of dates or numbers. Received: column "
            f"{column.name!r} of dtype {dtype}. Convert text with `pd.to_datetime`."
        )
