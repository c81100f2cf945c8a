"""Rows of a comparison: a frame with labels, or inputs and labels by task."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kmtl._checks import check_known_keys, shorten
from kmtl.data._labels import encode_labels
from kmtl.data._pack import counting_labels
from kmtl.data._resolve import label_column
from kmtl.features._encode import check_frame
from kmtl.tasks import BinaryTask, ProductTask, Task

Places = np.ndarray
"""Positions of rows, `(rows,)`."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Inputs and labels.

    Attributes:
        x: A frame, an array or a dict of arrays.
        y: Labels by task name; `None` where they are columns of the frame.
    """

    x: Any
    y: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, data: Any, tasks: Sequence[Task], subject: str) -> "Rows":
        """Takes a frame with label columns, or `(x, y)`.

        Raises:
            TypeError: If it is neither.
            ValueError: If a task has no labels, or not one a row.
        """
        if isinstance(data, pd.DataFrame):
            check_frame(data)
            for task in tasks:
                label_column(task, data)
            return cls(data)
        if not isinstance(data, tuple) or len(data) != 2:
            raise TypeError(
                f"`{subject}` must be a DataFrame with label columns, or `(x, y)` with "
                f"arrays and labels by task name. Received: {type(data).__name__}."
            )
        rows = cls(_inputs(data[0], subject), _labels(data[1], tasks, subject))
        _check_lengths(rows, subject)
        return rows

    def __len__(self) -> int:
        first = next(iter(self.x.values())) if isinstance(self.x, dict) else self.x
        return len(first)

    def take(self, places: Places) -> "Rows":
        """Returns some of the rows."""
        x = self.x
        if isinstance(x, pd.DataFrame):
            return Rows(x.iloc[places])
        x = {k: v[places] for k, v in x.items()} if isinstance(x, dict) else x[places]
        return Rows(x, {name: v[places] for name, v in (self.y or {}).items()})

    def labels(self, tasks: Sequence[Task]) -> dict[str, Any]:
        """Returns the labels of tasks by name."""
        if self.y is None:
            return {task.name: self.x[task.column] for task in tasks}
        return {task.name: self.y[task.name] for task in tasks}

    def counting(self, tasks: Sequence[Task]) -> dict[str, np.ndarray]:
        """Returns labels as numbers, NaN where missing or not counting, by task name.

        Labels of more than one value a row are left out.
        """
        raw = self.labels(tasks)
        encoded = {
            task.name: encode_labels(task, raw[task.name], ())
            for task in tasks
            if is_flat(raw[task.name])
        }
        return {t.name: counting_labels(t, encoded) for t in tasks if t.name in encoded}

    def alone(self, task: Task, tasks: Sequence[Task]) -> "Rows":
        """Returns the rows as a model of one task may see them.

        The labels of the others are gone, so that they cannot become features, and so
        are those of the task that do not count.
        """
        labels = self.labels([task])[task.name]
        if task.only_if is not None:
            counts = ~np.isnan(self.counting(tasks)[task.name])
            if isinstance(labels, np.ndarray):
                labels = labels.ravel()  # `(rows, 1)` is fine as labels
            labels = pd.Series(labels).where(counts).set_axis(self._index())
        if self.y is not None:
            return Rows(self.x, {task.name: labels})
        others = {other.column for other in tasks} - {task.column}
        frame = self.x.drop(columns=list(others))
        return Rows(frame.assign(**{task.column: labels}))

    def _index(self) -> Any:
        is_frame = isinstance(self.x, pd.DataFrame)
        return self.x.index if is_frame else pd.RangeIndex(len(self))

    def digest(self) -> str:
        """Returns a number that tells these rows from others, as text."""
        if self.y is None:
            parts = dict(self.x.items())
        else:
            inputs = self.x if isinstance(self.x, dict) else {"x": self.x}
            parts = {("x", k): v for k, v in inputs.items()}
            parts |= {("y", k): v for k, v in self.y.items()}
        digest = hashlib.blake2b(digest_size=8)
        for name, values in parts.items():
            digest.update(repr((name, str(values.dtype), values.shape)).encode())
            flat = pd.Series(np.ravel(values) if values.ndim > 1 else values)
            digest.update(
                pd.util.hash_pandas_object(flat, index=False).to_numpy().tobytes()
            )
        return digest.hexdigest()


def alone(task: Task) -> Task:
    """Returns a task as it is without the others.

    A product is a plain binary task, and the weight is 1: it is one beside others.
    """
    if isinstance(task, ProductTask):
        fields = {field.name for field in dataclasses.fields(BinaryTask)}
        task = BinaryTask(**{f: getattr(task, f) for f in fields if f != "_"})
    return dataclasses.replace(task, condition_on=(), only_if=None, loss_weight=1.0)


def is_flat(values: Any) -> bool:
    """Whether labels are one value a row."""
    return values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1)


def check_labelled(
    task: Task, labels: np.ndarray, part: str, *, differ: bool = False
) -> None:
    """Raises `ValueError` if a part has no labels of a task, or only equal ones.

    Args:
        task: The task.
        labels: Its labels in the part, NaN where missing.
        part: Name of the part, such as `"test"`.
        differ: Whether the metric needs two labels that are not the same.
    """
    present = labels[~np.isnan(labels)]
    if len(np.unique(present)) < (2 if differ else 1):
        is_binary = isinstance(task, BinaryTask)
        differing = "labels of both classes" if is_binary else "two different labels"
        what = differing if present.size else "labels"
        raise ValueError(
            f"`{part}` must have {what} of task {task.name!r}. Received: "
            f"{present.size} labels in {len(labels)} rows. Give more rows, or leave "
            "the task out."
        )


def _inputs(x: Any, subject: str) -> Any:
    if isinstance(x, Mapping) and x:
        return {name: np.asarray(part) for name, part in x.items()}
    if isinstance(x, pd.DataFrame):
        raise TypeError(
            f"`{subject}` must be the frame alone, with its label columns; "
            "`(x, y)` is for arrays. Received: x=DataFrame."
        )
    array = np.asarray(x)
    if array.ndim < 2:
        raise ValueError(
            f"`x` of `{subject}` must hold one sample a row. Received: "
            f"shape={array.shape}."
        )
    return array


def _labels(y: Any, tasks: Sequence[Task], subject: str) -> dict[str, Any]:
    if not isinstance(y, (Mapping, pd.DataFrame)):
        raise TypeError(
            f"`y` of `{subject}` must be a dict or a DataFrame with labels by task "
            f"name. Received: {type(y).__name__}."
        )
    names = [task.name for task in tasks]
    check_known_keys(y, names, f"y of {subject}")
    lacking = [name for name in names if name not in y]
    if lacking:
        raise ValueError(
            f"`y` of `{subject}` must have labels of every task. "
            f"Received: none of {shorten(lacking)}."
        )
    return {name: np.asarray(y[name]) for name in names}


def _check_lengths(rows: Rows, subject: str) -> None:
    parts = rows.x if isinstance(rows.x, dict) else {"x": rows.x}
    lengths = {name: len(part) for name, part in {**parts, **(rows.y or {})}.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"Inputs and labels of `{subject}` must have one length. "
            f"Received: {lengths}."
        )
