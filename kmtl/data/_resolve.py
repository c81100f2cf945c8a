"""What a training frame says about a task: its classes, fixed from then on."""

import dataclasses
from collections.abc import Hashable
from typing import Any

import pandas as pd

from kmtl._checks import did_you_mean, shorten
from kmtl.data._labels import distinct_labels, has_labels
from kmtl.tasks import BinaryTask, MulticlassTask, Task


def resolve_task(task: Task, frame: pd.DataFrame) -> Task:
    """Returns the task with the classes that its label column holds.

    Args:
        task: The task.
        frame: The training frame.

    Raises:
        ValueError: If the frame lacks the column, all its labels are missing, or
            `positive` never occurs.
    """
    column = label_column(task, frame)
    if not has_labels(task, column):
        raise ValueError(
            f"Every label of task {task.name!r} is missing in the training frame. "
            f"Received: column {task.column!r} without any."
        )
    if isinstance(task, MulticlassTask) and task.classes is None:
        return dataclasses.replace(task, classes=_classes(task, column))
    if isinstance(task, BinaryTask) and task.classes is None:
        return _resolve_binary(task, distinct_labels(task, column))
    return task


def label_column(task: Task, frame: pd.DataFrame) -> pd.Series:
    """Returns the label column of a task, or raises `ValueError` when it is absent."""
    if task.column not in frame.columns:
        columns = list(frame.columns)
        raise ValueError(
            f"The frame has no label column for task {task.name!r}; name it with "
            f"`label=`, or pass `y` without the task. Received: {task.column!r}."
            f"{did_you_mean(task.column, columns)} Columns: {shorten(columns)}."
        )
    return frame[task.column]


def _classes(task: MulticlassTask, column: pd.Series) -> list[Hashable]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        values = [v for v in column.cat.categories.tolist() if v != task.missing]
    else:
        values = distinct_labels(task, column)
    fractions = [v for v in values if isinstance(v, float) and not v.is_integer()]
    if fractions:
        raise ValueError(
            f"Labels of MulticlassTask({task.name!r}) must be text or whole numbers; "
            "use RegressionTask for measured values, or name the classes with "
            f"`classes=`. Received: {shorten(fractions, 3)}."
        )
    if len(values) < 2:
        raise ValueError(
            f"Labels of MulticlassTask({task.name!r}) must have at least two classes; "
            f"name those that may come with `classes=`. Received: {shorten(values)}."
        )
    # A column of integers with missing values holds floats.
    return [int(v) if isinstance(v, float) else v for v in values]


def _resolve_binary(task: BinaryTask, values: list[Any]) -> BinaryTask:
    if task.positive is None:
        return _resolve_zero_one(task, values)
    if task.positive not in values:
        raise ValueError(
            f"`positive` of BinaryTask({task.name!r}) never occurs in column "
            f"{task.column!r}. Received: {task.positive!r}."
            f"{did_you_mean(task.positive, values)} Values: {shorten(values)}."
        )
    others = [value for value in values if value != task.positive]
    if len(others) != 1:  # one against the rest
        return task
    positive = values[values.index(task.positive)]  # 1 rather than True, and so on
    return dataclasses.replace(task, positive=positive, classes=(others[0], positive))


def _resolve_zero_one(task: BinaryTask, values: list[Any]) -> BinaryTask:
    if any(value not in (0, 1) for value in values):
        return task  # the encoder says what is wrong with them
    is_bool = all(isinstance(value, bool) for value in values)
    return dataclasses.replace(task, classes=(False, True) if is_bool else (0, 1))
