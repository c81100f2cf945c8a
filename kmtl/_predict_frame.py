"""Predictions as the columns of a DataFrame, in the values of the labels."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from kmtl._checks import check_unique
from kmtl._typing import ByTask
from kmtl.tasks import BinaryTask, MulticlassTask, Task, class_values


def predictions_frame(
    tasks: Iterable[Task],
    predictions: ByTask,
    *,
    index: pd.Index | None,
    probabilities: bool,
) -> pd.DataFrame:
    """Returns predictions as a frame with one column a task.

    Args:
        tasks: The tasks that are predicted.
        predictions: Arrays `(rows, ...)` by task name.
        index: The index of the frame; `None` counts the rows.
        probabilities: Whether to add columns `<task>_<class>`.

    Raises:
        ValueError: If a task does not have one prediction a row, or two columns would
            have one name.
    """
    columns: dict[str, Any] = {}
    for task in tasks:
        added = _columns(task, predictions[task.name], probabilities)
        check_unique([*columns, *added], "columns of the predictions")
        columns.update(added)
    return pd.DataFrame(columns, index=index)


def own_predictions_frame(
    tasks: Iterable[Task],
    predictions: ByTask,
    owners: np.ndarray,
    *,
    index: pd.Index | None,
) -> pd.DataFrame:
    """Returns predictions of one task a row as a frame with a row for each.

    Args:
        tasks: The tasks that may be predicted.
        predictions: Arrays by the names of tasks that have rows, of these rows.
        owners: The name of the task of each row, `(rows,)`.
        index: The index of the frame; `None` counts the rows.

    Returns:
        A frame with the columns `"task"` and `"prediction"`.
    """
    values = np.empty(len(owners), dtype=object)
    for task in tasks:
        if task.name in predictions:
            own = _columns(task, predictions[task.name], probabilities=False)
            values[owners == task.name] = own[task.name]
    columns = {"task": owners, "prediction": values}
    return pd.DataFrame(columns, index=index).infer_objects()


def _columns(task: Task, predicted: np.ndarray, probabilities: bool) -> dict[str, Any]:
    if predicted.ndim > 2 or (
        not isinstance(task, (BinaryTask, MulticlassTask)) and predicted.shape[1] > 1
    ):
        raise ValueError(
            f"A frame needs one prediction a row for task {task.name!r}; use "
            "`model.predict` or `client.predict_arrays`. "
            f"Received: shape={predicted.shape}."
        )
    if isinstance(task, BinaryTask):
        classes = class_values(task) or (False, True)
        columns: dict[str, Any] = {task.name: _choose(classes, predicted[:, 0] > 0.5)}
        if probabilities:
            columns[f"{task.name}_{classes[1]}"] = predicted[:, 0]
        return columns
    if isinstance(task, MulticlassTask):
        classes = class_values(task)
        columns = {task.name: _choose(classes, predicted.argmax(axis=1))}
        if probabilities:
            names = [f"{task.name}_{c}" for c in classes]
            columns.update(zip(names, predicted.T, strict=True))
        return columns
    return {task.name: predicted[:, 0]}


def _choose(classes: tuple[Any, ...], indices: np.ndarray) -> Any:
    return pd.Series(list(classes)).to_numpy()[indices.astype(int)]
