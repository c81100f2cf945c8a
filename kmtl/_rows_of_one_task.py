"""Rows that belong to one task each: what a model is told of them, and predictions."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from kmtl._checks import check_positive_integer, did_you_mean, shorten
from kmtl._training import Trainer
from kmtl.data import Source
from kmtl.data._task_column import name_of


def add_tasks(model: Trainer, dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Adds the task of each row to packed batches of rows of one task each.

    Args:
        model: The model.
        dataset: Batches of inputs and packed labels, at most one label a row.

    Returns:
        The dataset, as it is where the model would gain nothing.
    """
    if not model.gains_by_own_slices():
        return dataset
    order = _packed_order(model)

    def add(x: Any, y: dict[str, Any]) -> Any:
        is_labelled = ~tf.math.is_nan(tf.concat(y["labels"], axis=-1))
        # A row without a label counts nowhere, so it may be of any task.
        place = tf.argmax(is_labelled, axis=-1, output_type=tf.int32)
        return x, {**y, "tasks": tf.gather(order, place)}

    return dataset.map(add, num_parallel_calls=tf.data.AUTOTUNE)


def with_tasks(model: Trainer, packed: dict[str, Any]) -> dict[str, Any]:
    """Adds the task of each row to packed labels, if no row has labels of several."""
    order = _packed_order(model)
    if len(order) == 1 or any(labels.ndim > 2 for labels in packed["labels"]):
        return packed
    is_labelled = ~np.isnan(np.concatenate(packed["labels"], axis=-1))
    if (is_labelled.sum(axis=-1) > 1).any() or not model.gains_by_own_slices():
        return packed
    tasks = np.asarray(order, "int32")[is_labelled.argmax(axis=-1)]
    return {**packed, "tasks": tasks}


def _packed_order(model: Trainer) -> list[int]:
    """The tasks in the order of packed labels, by position in the model."""
    return [i for group in model.outputs_layer.groups for i in group.indices]


def names_of_rows(model: Trainer, x: Any, task: Any, rows: int) -> np.ndarray:
    """Returns the name of the task of each row, `(rows,)`.

    Args:
        model: The model.
        x: Inputs, of which `task` may name a column.
        task: The name of one task, of a column of the frame `x`, or a name a row. A
            frame may hold the labels of a task under its name: the name is the task's.
        rows: How many rows there are.

    Raises:
        ValueError: If there are more or fewer names than rows.
    """
    if isinstance(task, str):
        is_task = task in {known.name for known in model.outputs_layer.tasks}
        is_column = isinstance(x, pd.DataFrame) and task in x.columns
        task = x[task] if is_column and not is_task else [task] * rows
    named = np.asarray(task)
    if named.shape != (rows,):
        several = {1: f"{named.size} names"}.get(named.ndim, f"shape={named.shape}")
        received = several if named.ndim else repr(task)
        raise ValueError(
            f"`task` must name a task, a column of `x` or a task for each of {rows} "
            f"rows. Received: {received}."
        )
    codes, values = pd.factorize(named, use_na_sentinel=False)
    return np.array([name_of(value) for value in values], dtype=object)[codes]


def positions_of(model: Trainer, names: np.ndarray) -> np.ndarray:
    """Returns the position of each task among those of a model, as integers.

    Raises:
        ValueError: If a task is unknown or not predicted.
    """
    tasks = model.outputs_layer.tasks
    predicted = {t.name: i for i, t in enumerate(tasks) if not t.auxiliary}
    codes, found = pd.factorize(names)
    for name in found:
        if name not in predicted:
            raise ValueError(
                f"`task` names an unknown task. Received: {name!r}."
                f"{did_you_mean(name, predicted)} Tasks: {shorten(predicted)}."
            )
    return np.array([predicted[name] for name in found], "int32")[codes]


def check_rows_at_hand(x: Any, batch_size: Any, arguments: dict[str, Any]) -> None:
    """Raises for data and arguments that do not go with the tasks of rows.

    Args:
        x: Inputs.
        batch_size: Rows a batch, or `None`.
        arguments: Others of `predict`.

    Raises:
        TypeError: If the rows are those of a dataset.
        ValueError: If not all of them are asked for, or the size is wrong.
    """
    if isinstance(x, tf.data.Dataset):
        raise TypeError(
            "`task` belongs to the rows of a frame, files, an array or a dict of "
            f"arrays. Received: `task` with x={type(x).__name__}. Predict it part by "
            "part."
        )
    if arguments.get("steps") is not None:
        raise ValueError(
            "`steps` must come without `task`: rows are put in the order of their "
            f"tasks. Received: steps={arguments['steps']!r}. Predict fewer rows."
        )
    if batch_size is not None:
        check_positive_integer(batch_size, "batch_size")


def frames_of(model: Trainer, source: Source, task: Any) -> Iterator[pd.DataFrame]:
    """Reads the frames of a source, each row of which is predicted for one task.

    Raises:
        ValueError: If `task` is no name, or there are no rows.
    """
    if not isinstance(task, str):
        raise ValueError(
            "`task` must name a task or a column of the source `x`. Received: "
            f"{type(task).__name__}. Names of rows go with a frame or arrays."
        )
    features = model.outputs_layer.features
    columns = {task, *(() if features is None else features.names)}
    source.count(columns)
    return source.frames(columns)


def joined(
    parts: Sequence[tuple[np.ndarray, dict[str, np.ndarray]]],
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Joins names of tasks of rows, and predictions by task, one part after another."""
    found: dict[str, list[np.ndarray]] = {}
    for _, predictions in parts:
        for name, values in predictions.items():
            found.setdefault(name, []).append(values)
    names = np.concatenate([names for names, _ in parts])
    return names, {name: np.concatenate(values) for name, values in found.items()}


class OwnTasks:
    """Rows for which a model predicts one task each, task after task.

    Args:
        model: The model.
        inputs: Encoded inputs by name.
        tasks: The task of each row by position, `(rows,)`.
    """

    def __init__(
        self, model: Trainer, inputs: dict[str, np.ndarray], tasks: np.ndarray
    ) -> None:
        self._layer = model.outputs_layer
        order = np.argsort(tasks, kind="stable")
        self._tasks = tasks[order]
        self._inputs = {name: values[order] for name, values in inputs.items()}
        # Else tasks read each other's slices, and all tasks are predicted.
        self._is_alone = model.own_slices() is not None

    def batches(self, batch_size: int) -> tf.data.Dataset:
        """Returns what `keras.Model.predict` takes."""
        alone = (self._inputs, {"tasks": self._tasks})
        rows = alone if self._is_alone else self._inputs
        return tf.data.Dataset.from_tensor_slices(rows).batch(batch_size)

    def split(self, stacked: Any) -> dict[str, np.ndarray]:
        """Splits predictions, one array a head group, by task.

        Returns:
            Arrays by the names of the tasks that have rows, in the order of the rows.
        """
        parts = stacked if isinstance(stacked, (list, tuple)) else [stacked]
        found = {}
        for group, part in zip(self._layer.groups, parts, strict=True):
            for position, index in enumerate(group.indices):
                rows = self._tasks == index
                column = 0 if self._is_alone else position
                if rows.any():
                    found[index] = np.asarray(part)[rows, column]
        return {self._layer.tasks[index].name: found[index] for index in sorted(found)}
