"""Predictions as the columns of a DataFrame, in the values of the labels."""

from typing import Any

import numpy as np
import pandas as pd

from kmtl.tasks import BinaryTask, MulticlassTask, Task, class_values


def frame_columns(
    task: Task, predicted: np.ndarray, probabilities: bool
) -> dict[str, Any]:
    """Returns the columns of one task.

    Args:
        task: The task.
        predicted: What `predict` gives for it.
        probabilities: Whether to add columns `<task>_<class>`.

    Raises:
        ValueError: If the task does not have one prediction a row.
    """
    if predicted.ndim > 2 or (
        not isinstance(task, (BinaryTask, MulticlassTask)) and predicted.shape[1] > 1
    ):
        raise ValueError(
            f"`predict_frame` needs one prediction a row for task {task.name!r}; use "
            f"`predict`. Received: shape={predicted.shape}."
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
