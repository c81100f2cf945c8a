"""Tables whose rows belong to one task each, which a column names."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from kmtl._checks import as_plain, as_tuple, check_unique, did_you_mean, shorten
from kmtl.data._pivoted_source import PivotedSource
from kmtl.data._source import Source
from kmtl.tasks import Task

Table = TypeVar("Table", pd.DataFrame, Source)


def pivot_labels(
    frame: Table,
    *,
    task: str,
    label: str,
    tasks: Sequence[str | Task] | None = None,
) -> Table:
    """Gives each task a label column of its own, missing in the rows of the others.

    From a long to a wide form, as `pandas.DataFrame.pivot`, but rows stay rows. The
    result is what `build_mtl_model`, `fit` and `evaluate` take.

    Args:
        frame: Rows of one task each, in memory or in files, such as `read_parquet`
            returns.
        task: The column that names the task of a row.
        label: The column with the label of a row, of whichever task it is.
        tasks: The tasks there are, or their names; by default those in the column,
            sorted. They must be given for a table in files.

    Returns:
        The table with one column a task in place of the columns `task` and `label`.

    Raises:
        ValueError: If a row names no task or an unknown one, or a column is missing or
            there already.

    Example:
        >>> import kmtl, pandas as pd
        >>> frame = pd.DataFrame(
        ...     {"hours": [1, 4, 2], "school": ["a", "b", "a"], "score": [3, 9, 5]}
        ... )
        >>> kmtl.data.pivot_labels(frame, task="school", label="score")
           hours    a    b
        0      1  3.0  NaN
        1      4  NaN  9.0
        2      2  5.0  NaN
    """
    if isinstance(frame, Source):
        return _pivoted(frame, task, label, tasks)
    return _wide(frame, task=task, label=label, tasks=tasks)


def _wide(
    frame: pd.DataFrame,
    first_row: int = 0,
    *,
    task: str,
    label: str,
    tasks: Sequence[str | Task] | None,
) -> pd.DataFrame:
    """Does so for a frame, of which `first_row` rows came before."""
    names, positions = _tasks_of_rows(frame, task, label, tasks, first_row)
    rest = frame.drop(columns=[task, label])
    _check_new(list(rest.columns), names)
    wide = {n: frame[label].where(positions == i) for i, n in enumerate(names)}
    return pd.concat([rest, pd.DataFrame(wide, index=frame.index)], axis=1)


def rows_by_task(
    frame: pd.DataFrame,
    *,
    task: str,
    label: str,
    tasks: Sequence[str | Task] | None = None,
) -> dict[str, tuple[pd.DataFrame, pd.Series]]:
    """Splits a frame by task, as `sample_tasks` takes it.

    Rows in files are not split: that would read all files once for each task. Write the
    rows of a task to files of their own.

    Args:
        frame: Rows of one task each.
        task: The column that names the task of a row.
        label: The column with the label of a row.
        tasks: The tasks there are, or their names. One without rows is an error.

    Returns:
        Rows and labels by task name.

    Raises:
        ValueError: As `pivot_labels`, and if a task that is given has no rows.

    Example:
        >>> import kmtl, pandas as pd
        >>> frame = pd.DataFrame(
        ...     {"hours": [1, 4, 2], "school": ["a", "b", "a"], "score": [3, 9, 5]}
        ... )
        >>> data = kmtl.data.rows_by_task(frame, task="school", label="score")
        >>> kmtl.data.sample_tasks(data, "uniform", batch_size=2).table()["rows"]
        task
        a    2
        b    1
        Name: rows, dtype: int64
    """
    names, positions = _tasks_of_rows(frame, task, label, tasks)
    counts = np.bincount(positions, minlength=len(names))
    without = [name for name, count in zip(names, counts, strict=True) if not count]
    if without:
        raise ValueError(
            f"Column {task!r} must name every task of `tasks`. Received: no rows of "
            f"{shorten(without)}."
        )
    rest = frame.drop(columns=[task, label])
    rows = np.split(np.argsort(positions, kind="stable"), np.cumsum(counts)[:-1])
    return {
        name: (rest.iloc[own], frame[label].iloc[own])
        for name, own in zip(names, rows, strict=True)
    }


def _pivoted(
    source: Source, task: str, label: str, tasks: Sequence[str | Task] | None
) -> PivotedSource:
    if tasks is None:
        raise ValueError(
            "`tasks` must be given for a table in files, which are read frame by "
            "frame. Received: None."
        )
    columns = list(source.columns) or source.column_names()
    _check_columns(columns, task, label)
    names = _names(tasks)
    _check_new([name for name in columns if name not in (task, label)], names)
    pivot = partial(_wide, task=task, label=label, tasks=names)
    return PivotedSource(
        of=source,
        spent=(task, label),
        names=names,
        pivot=pivot,
        files=source.files,
        chunk_rows=source.chunk_rows,
        seed=source.seed,
        buffer_rows=source.buffer_rows,
        interleave=source.interleave,
        cache=source.cache,
        skip_corrupt=source.skip_corrupt,
    )


def _tasks_of_rows(
    frame: pd.DataFrame,
    task: str,
    label: str,
    tasks: Sequence[str | Task] | None,
    first_row: int = 0,
) -> tuple[list[str], np.ndarray]:
    """Returns the names of tasks, and the position of each row's among them."""
    _check_frame(frame, task, label)
    codes, values = pd.factorize(frame[task])
    if (codes < 0).any():
        raise ValueError(
            f"Column {task!r} must name a task in every row. Received: "
            f"{np.count_nonzero(codes < 0)} rows without one, the first in row "
            f"{first_row + np.argmin(codes)}."
        )
    found = [name_of(value) for value in values]
    _check_names_apart(task, dict(zip(values.tolist(), found, strict=True)))
    if tasks is None:
        are_numbers = all(name.isdecimal() for name in found)
        names = sorted(found, key=int if are_numbers else str)
    else:
        names = _names(tasks)
        _check_known(task, dict(zip(found, np.bincount(codes), strict=True)), names)
    return names, np.array([names.index(name) for name in found])[codes]


def name_of(value: Any) -> str:
    """Returns the name of the task that a value of a column stands for."""
    value = as_plain(value)  # float32 of NumPy is no float
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if is_whole else value)


def _names(tasks: Sequence[str | Task]) -> list[str]:
    names = [t.name if isinstance(t, Task) else t for t in as_tuple(tasks, "tasks")]
    check_unique(names, "tasks")
    return names


def _check_frame(frame: pd.DataFrame, task: str, label: str) -> None:
    if isinstance(frame, Source):
        raise TypeError(
            "`frame` must be in memory, to be split by task. Received: "
            f"{type(frame).__name__}. Use `pivot_labels`, or files of one task each, "
            f"as `frame.to_parquet(folder, partition_cols=[{task!r}])` writes them: "
            "`sample_tasks({task: read_parquet(files), ...})`."
        )
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(
            f"`frame` must be a DataFrame. Received: {type(frame).__name__}."
        )
    _check_columns(list(frame.columns), task, label)
    if not len(frame):
        raise ValueError("`frame` must have at least one row. Received: no rows.")


def _check_columns(columns: Sequence[str], task: str, label: str) -> None:
    for argument, name in {"task": task, "label": label}.items():
        if name not in columns:
            raise ValueError(
                f"`{argument}` names no column of the table. Received: {name!r}."
                f"{did_you_mean(name, columns)} Columns: {shorten(columns)}."
            )


def _check_names_apart(column: str, names: Mapping[Any, str]) -> None:
    """Refuses two values, such as 1 and "1", that would name one task."""
    value_of: dict[str, Any] = {}
    for value, name in names.items():
        if name in value_of:
            raise ValueError(
                f"Column {column!r} must name each task in one way. Received: "
                f"{value_of[name]!r} and {value!r}, which both name task {name!r}. "
                "Make them of one type."
            )
        value_of[name] = value


def _check_known(column: str, rows: Mapping[str, int], names: list[str]) -> None:
    for name, count in rows.items():
        if name not in names:
            raise ValueError(
                f"Column {column!r} names an unknown task. Received: {name!r} in "
                f"{count} rows.{did_you_mean(name, names)} Tasks: {shorten(names)}."
            )


def _check_new(columns: Sequence[str], names: list[str]) -> None:
    for name in names:
        if name in columns:
            raise ValueError(
                "A task must not have the name of a column of the table. Received: "
                f"{name!r}."
            )
