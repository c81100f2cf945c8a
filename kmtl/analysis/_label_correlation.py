"""How the labels of tasks go together, and where they are there together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kmtl._prepare import encoded_columns
from kmtl.analysis._check_model import check_model
from kmtl.data import TaskSampler, check_ends
from kmtl.model import MTLModel
from kmtl.tasks import MulticlassTask, Task

# Squares that differ by less, of what they are differences of, are equal but for
# rounding: labels of one value have no correlation.
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class LabelCorrelation:
    """What `label_correlation` returns: frames of tasks by tasks.

    Attributes:
        correlation: Over the rows where both tasks are labelled. Of numbers and binary
            labels that of Pearson, from -1 to 1, which is phi for two binary tasks. A
            task of several classes has no sign: Cramér's V with another task with
            classes, the correlation ratio with a number, from 0 to 1. NaN where a
            task has just one value, or vectors and images for labels.
        overlap: The share of the rows in which both tasks are labelled; on the diagonal
            the share in which the task is.
    """

    correlation: pd.DataFrame
    overlap: pd.DataFrame


def label_correlation(
    model: MTLModel, x: Any, y: Any = None, *, steps_per_epoch: int | None = None
) -> LabelCorrelation:
    """Tells how the labels of each pair of tasks go together.

    It needs labels only: the model says what they mean, trained or not and whatever it
    shares. That labels correlate does not say that the tasks gain by sharing: tasks of
    one label can have nothing to tell each other, and tasks of unrelated labels one
    representation. See `task_affinity`.

    Args:
        model: The model.
        x: A frame with label columns, a source, a dataset or a sampler, where `y` is
            not given; else not looked at.
        y: Labels by task name, a dict or a DataFrame.
        steps_per_epoch: How many batches of a dataset to read; all by default.

    Returns:
        Correlations and the share of rows that they are taken of.

    Raises:
        TypeError: If `model` is not an `MTLModel`.
        ValueError: If labels are wrong.

    Example:
        >>> import kmtl, numpy as np
        >>> model = kmtl.build_mtl_model(
        ...     (8,), [kmtl.BinaryTask("a"), kmtl.RegressionTask("b")]
        ... )
        >>> labels = {"a": [0, 0, 1, 1], "b": [3.0, 3.0, 1.0, np.nan]}
        >>> found = kmtl.analysis.label_correlation(model, None, labels)
        >>> found.correlation.loc["a", "b"].round(6), found.overlap.loc["a", "b"]
        (np.float64(-1.0), np.float64(0.75))
    """
    check_model(model)
    check_ends(x, steps_per_epoch, "steps_per_epoch")
    columns = encoded_columns(model, x, y, steps=steps_per_epoch)
    if isinstance(x, TaskSampler):
        columns = _one_below_another(columns)
    known = np.stack([_labelled(column) for column in columns], axis=1)
    overlap = known.T.astype("float64") @ known / max(len(known), 1)
    correlation = _correlations(model.tasks, columns)
    names = model.task_names
    return LabelCorrelation(
        pd.DataFrame(correlation, names, names), pd.DataFrame(overlap, names, names)
    )


def _one_below_another(columns: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The labels of rows of all tasks, where each task has rows of its own."""
    ends = np.cumsum([len(column) for column in columns])
    below = []
    for column, end in zip(columns, ends, strict=True):
        filled = np.full((ends[-1], *column.shape[1:]), np.nan)
        filled[end - len(column) : end] = column
        below.append(filled)
    return below


def _labelled(column: np.ndarray) -> np.ndarray:
    return ~np.isnan(column.reshape(len(column), -1)).all(axis=1)


def _correlations(tasks: Sequence[Task], columns: Sequence[np.ndarray]) -> np.ndarray:
    nothing = np.full(len(columns[0]), np.nan)
    numbers = [column if column.ndim == 1 else nothing for column in columns]
    found = _pearson(np.stack(numbers, axis=1))
    for i, task in enumerate(tasks):
        if isinstance(task, MulticlassTask) and columns[i].ndim == 1:
            for j, other in enumerate(numbers):
                value = _of_sets(
                    *_in_both(_values(task, numbers[i]), _values(tasks[j], other))
                )
                found[i, j] = found[j, i] = value
    return found


def _pearson(labels: np.ndarray) -> np.ndarray:
    """Correlations of columns `(rows, tasks)` over the rows that both have."""
    known = ~np.isnan(labels)
    mask = known.astype("float64")
    # At mean 0 the products of large numbers that hardly differ keep their digits.
    means = np.where(known, labels, 0.0).sum(0) / np.maximum(mask.sum(0), 1.0)
    values = np.where(known, labels - means, 0.0)
    counts = np.maximum(mask.T @ mask, 1.0)
    sums, squares = values.T @ mask, (values**2).T @ mask
    covariance = values.T @ values - sums * sums.T / counts
    variance = squares - sums**2 / counts
    varies = variance > _ROUNDING * squares
    scale = np.sqrt(np.where(varies, variance, np.nan))
    return np.clip(covariance / scale / scale.T, -1.0, 1.0)


def _values(task: Task, labels: np.ndarray) -> np.ndarray:
    """Labels as columns: an indicator of each class, or numbers; `(rows, columns)`."""
    if not isinstance(task, MulticlassTask):
        return labels[:, None]
    classes = np.unique(labels[~np.isnan(labels)])
    indicators = (labels[:, None] == classes).astype("float64")
    return np.where(np.isnan(labels)[:, None], np.nan, indicators)


def _in_both(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = ~(np.isnan(ours).any(axis=1) | np.isnan(theirs).any(axis=1))
    return ours[rows], theirs[rows]


def _of_sets(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The root of the mean square of the canonical correlations of two sets of columns.

    With indicators of classes that is Cramér's V: chi squared by the number of rows is
    the sum of the squares.
    """
    ours, theirs = (_basis(part) for part in (ours, theirs))
    count = min(ours.shape[1], theirs.shape[1])
    if not count:
        return float("nan")
    return float(np.sqrt(np.square(ours.T @ theirs).sum() / count))


def _basis(columns: np.ndarray) -> np.ndarray:
    """An orthonormal basis of what columns span beside a constant."""
    if not len(columns):
        return columns[:, :0]
    centred = columns - columns.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    largest = np.square(columns).sum(axis=0).max(initial=0.0)
    kept = values > _ROUNDING * largest
    return centred @ (vectors[:, kept] / np.sqrt(values[kept]))
