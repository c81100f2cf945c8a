"""The labels of tasks in a frame, as numbers that `stratify` balances."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kmtl._checks import check_known_keys
from kmtl.data._labels import encode_labels
from kmtl.data._pack import counting_labels
from kmtl.data._resolve import resolve_task
from kmtl.tasks import RegressionTask, Task

_BINS = 10  # deciles of a regression


def check_label_columns(frame: pd.DataFrame, tasks: Sequence[Task]) -> None:
    """Raises `ValueError` for the first task whose label column a frame lacks."""
    for task in tasks:
        subject = f"label of task {task.name!r}"
        check_known_keys([task.column], frame.columns, subject, "column")


def encode_tasks(frame: pd.DataFrame, tasks: Sequence[Task]) -> dict[str, np.ndarray]:
    """Returns the labels of tasks that count, by name, float64, NaN where missing.

    Raises:
        ValueError: If labels are not what a task expects, or all are missing.
    """
    encoded = {
        task.name: encode_labels(resolve_task(task, frame), frame[task.column], ())
        for task in tasks
    }
    return {task.name: counting_labels(task, encoded) for task in tasks}


def labels_to_balance(
    frame: pd.DataFrame, tasks: Sequence[Task], smallest: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the labels of each row and the weight of each label.

    Labels are the classes of a task, the bins of a regression, and "missing". A label
    weighs one over its number of rows, so that `stratify` measures chi-squared.
    Labels too rare to be expected in the smallest part count together: one by one,
    all of them would round to the largest part.

    Args:
        frame: The rows.
        tasks: The tasks, in any order.
        smallest: The smallest share of a part.

    Returns:
        Integers `(rows, columns)`, numbered through all columns, and `(labels,)`.
    """
    encoded = encode_tasks(frame, tasks)
    numbers = {task.name for task in tasks if isinstance(task, RegressionTask)}
    columns: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    for name in sorted(encoded):  # whatever the order of the tasks
        values = encoded[name]
        values = _binned(values, smallest) if name in numbers else values
        codes, _ = pd.factorize(values, sort=True, use_na_sentinel=False)
        count = np.bincount(codes)
        rare = count * smallest < 0.5
        columns.append(codes)
        weights.append(1 / np.where(rare, count[rare].sum(), count))
        if rare.sum() > 1:
            columns.append(rare[codes].astype("int64"))
            weights.append(1 / np.maximum(np.bincount(columns[-1], minlength=2), 1))
    # The rows as such count like an average label: parts then fill at one pace.
    average = sum(map(len, weights)) / (len(frame) * len(weights))
    columns.append(np.zeros(len(frame), "int64"))
    weights.append(np.array([average]))
    starts = np.cumsum([0, *map(len, weights[:-1])])
    return np.stack(columns, axis=1) + starts, np.concatenate(weights)


def _binned(values: np.ndarray, smallest: float) -> np.ndarray:
    """Cuts numbers at quantiles; every bin has a row for the smallest part."""
    present = values[~np.isnan(values)]
    bins = max(1, min(_BINS, int(len(present) * smallest)))
    cuts = np.quantile(present, np.arange(1, bins) / bins) if bins > 1 else []
    return np.where(np.isnan(values), np.nan, np.searchsorted(cuts, values, "right"))
