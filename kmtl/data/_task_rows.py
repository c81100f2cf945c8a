"""Rows of several tasks that lie in memory -> packed tensors, task after task."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
import pandas as pd
import tensorflow as tf

from kmtl._checks import shorten
from kmtl._typing import ByTask
from kmtl.data._adapter import Adapter
from kmtl.data._draws import draws_of
from kmtl.data._labels import has_labels, values_of
from kmtl.data._pack import ClassFactors, resolve_class_weight
from kmtl.data._resolve import label_column
from kmtl.data._schedule import Schedule
from kmtl.tasks import Task

# (epoch, dataset of steps) -> dataset of their batches
Reader: TypeAlias = Callable[[Any, tf.data.Dataset], tf.data.Dataset]


@dataclass(frozen=True)
class Reading:
    """How the rows of tasks are read.

    Attributes:
        sample_weight: The name of a column of every table, or names by task.
        class_weight: Class weights by task name.
        training: Whether class weights count.
        errors: Takes what is raised meanwhile.
    """

    sample_weight: Any = None
    class_weight: ByTask | None = None
    training: bool = True
    errors: list[Exception] = field(default_factory=list)

    def factors(self, adapter: Adapter) -> ClassFactors | None:
        """Returns class weights by task name and class, where they count."""
        found = resolve_class_weight(adapter.packer.tasks, self.class_weight)
        return found if self.training else None


@dataclass(frozen=True)
class TaskRows:
    """The rows of one task.

    Attributes:
        task: Name of the task.
        x: A frame, an array or a dict of arrays.
        y: The labels, `None` where they are a column of the frame.
        sample_weight: One weight a row, or `None`.
    """

    task: str
    x: Any
    y: Any
    sample_weight: Any

    @property
    def rows(self) -> int:
        """How many rows it has."""
        x = next(iter(self.x.values())) if isinstance(self.x, Mapping) else self.x
        return len(x)

    def labels(self, adapter: Adapter) -> Any:
        """Returns the labels, found by the task in a model."""
        if self.y is not None:
            return self.y
        tasks = {task.name: task for task in adapter.packer.tasks}
        own = tasks.pop(self.task)
        others = [t for t in tasks.values() if t.column != own.column]
        _check_no_other_labels(self.x, own, others)
        return label_column(own, self.x)

    def pack(self, adapter: Adapter, reading: Reading) -> Any:
        """Encodes the inputs and packs the labels; all other tasks are missing."""
        own = self.sample_weight
        with naming(self.task):
            return adapter.batch(
                self.x,
                {self.task: self.labels(adapter)},
                sample_weight=reading.sample_weight if own is None else own,
                class_weight=reading.class_weight,
                training=reading.training,
            )

    def encoded_labels(self, adapter: Adapter, batches: int) -> np.ndarray:
        """Returns the labels as numbers, `(rows, ...)`, not standardised."""
        del batches  # all are at hand
        names = [task.name for task in adapter.packer.tasks]
        with naming(self.task):
            encoded = adapter.packer.encode({self.task: self.labels(adapter)})
        return encoded[names.index(self.task)]


class RowsOfTask(Protocol):
    """The rows of one task, wherever they are."""

    @property
    def task(self) -> str:
        """Name of the task."""

    @property
    def rows(self) -> int:
        """How many rows it has, `ENDLESS` if they do not end."""

    def encoded_labels(self, adapter: Adapter, batches: int) -> np.ndarray:
        """Returns labels as numbers, `(rows, ...)`; if endless, those of batches."""


_Part = TypeVar("_Part", bound=RowsOfTask)


@dataclass(frozen=True)
class RowsOfTasks(Generic[_Part]):
    """The rows of all tasks."""

    parts: Sequence[_Part]

    @property
    def sizes(self) -> dict[str, int]:
        """Rows by task name."""
        return {part.task: part.rows for part in self.parts}

    def encoded_labels(
        self, adapter: Adapter, steps: int, tasks: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Returns labels of some tasks as numbers by task name, not standardised."""
        parts = [part for part in self.parts if part.task in tasks]
        return {part.task: part.encoded_labels(adapter, steps) for part in parts}


@dataclass(frozen=True)
class RowsInMemory(RowsOfTasks[TaskRows]):
    """The rows of all tasks, in memory."""

    def reader(self, adapter: Adapter, schedule: Schedule, reading: Reading) -> Reader:
        """Encodes all rows once; batches are gathered from them by position."""
        tensors = _join([part.pack(adapter, reading) for part in self.parts])

        def draw(epoch: np.ndarray) -> list[np.ndarray]:
            draws = draws_of(schedule, int(epoch))
            return [draws.rows, draws.ends]

        def read(epoch: Any, steps: tf.data.Dataset) -> tf.data.Dataset:
            rows, ends = tf.numpy_function(draw, [epoch], [tf.int64, tf.int64])
            rows.set_shape((None,))
            ends.set_shape((None,))

            def batch(step: Any) -> Any:
                drawn = rows[ends[step] : ends[step + 1]]
                return tf.nest.map_structure(lambda t: tf.gather(t, drawn), tensors)

            return steps.map(batch, num_parallel_calls=tf.data.AUTOTUNE)

        return read


def read_rows(task: str, data: Any) -> TaskRows:
    """Takes a frame, `(x, y)` or `(x, y, sample_weight)` as the rows of a task.

    Raises:
        TypeError: If it is of no such form.
        ValueError: If it holds no rows, or `y` labels of other tasks.
    """
    if isinstance(data, pd.DataFrame):
        parts = TaskRows(task, data, None, None)
    elif isinstance(data, tuple) and len(data) in (2, 3):
        x, y, weight = (*data, None)[:3]
        parts = TaskRows(task, x, own_labels(task, y), weight)
        _check_rows(parts)
    else:
        raise TypeError(
            f"Data of task {task!r} must be a DataFrame, (x, y), (x, y, sample_weight) "
            f"or a tf.data.Dataset. Received: {type(data).__name__}."
        )
    if not parts.rows:
        raise ValueError(
            f"Data of task {task!r} must hold at least one row. Received: none. Leave "
            "the task out to train without it."
        )
    return parts


def own_labels(task: str, y: Any) -> Any:
    """Returns the labels of a task, which may come in a dict by task name."""
    if not isinstance(y, Mapping):
        return y
    if list(y) != [task]:
        raise ValueError(
            f"Labels of the data of task {task!r} must be of this task alone. "
            f"Received: {shorten(y)}."
        )
    return y[task]


def check_same_form(parts: list[TaskRows]) -> None:
    """Raises `ValueError` where the inputs of tasks differ in names, shape or dtype.

    Frames are checked one by one against the features of a model.
    """
    forms = {part.task: _form(part) for part in parts}
    first = next(iter(forms))
    for task, form in forms.items():
        compare_forms((first, forms[first]), (task, form))
    weighted = {part.task: part.sample_weight is not None for part in parts}
    if len(set(weighted.values())) > 1:
        without = [task for task, has_weight in weighted.items() if not has_weight]
        raise ValueError(
            "Data of all tasks or of none must hold sample weights. Received: none for "
            f"{shorten(without)}."
        )


def compare_forms(first: tuple[str, Any], other: tuple[str, Any]) -> None:
    """Raises `ValueError` unless two tasks have inputs of one form.

    Args:
        first: A task, and its inputs: anything comparable by input name.
        other: Another task.
    """
    (one, wanted), (task, have) = first, other
    for name in {**wanted, **have}:
        if wanted.get(name) != have.get(name):
            raise ValueError(
                f"Data of all tasks must have the same inputs. Received: {name!r} is "
                f"{have.get(name, 'absent')} for task {task!r}, but "
                f"{wanted.get(name, 'absent')} for task {one!r}."
            )


@contextmanager
def naming(task: str) -> Iterator[None]:
    """Puts the name of the task before what is wrong with its data."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        named = kind(f"Data of task {task!r}: {error}")
        for note in getattr(error, "__notes__", ()):  # which shard it is
            named.add_note(note)
        raise named from error


def _join(parts: list[Any]) -> Any:
    """Concatenates structures of arrays, array by array, as tensors of the host."""
    flat = [tf.nest.flatten(part) for part in parts]
    with tf.device("CPU"):
        joined = [
            tf.convert_to_tensor(np.concatenate([leaves.pop(0) for leaves in flat]))
            for _ in range(len(flat[0]))
        ]
    return tf.nest.pack_sequence_as(parts[0], joined)


def _form(part: TaskRows) -> dict[str, str]:
    if isinstance(part.x, pd.DataFrame):
        return {"x": "a DataFrame"}
    named = part.x if isinstance(part.x, Mapping) else {"x": part.x}
    arrays = {name: values_of(values) for name, values in named.items()}
    return {name: f"{a.dtype} of shape {a.shape[1:]}" for name, a in arrays.items()}


def _check_rows(part: TaskRows) -> None:
    if part.y is None:
        raise ValueError(
            f"Data of task {part.task!r} must hold labels. Received: None."
        )
    rows = part.rows
    for name, values in {"y": part.y, "sample_weight": part.sample_weight}.items():
        if values is not None and len(values) != rows:
            raise ValueError(
                f"Data of task {part.task!r} must have as many `{name}` as inputs, "
                f"{rows}. Received: {len(values)}."
            )


def _check_no_other_labels(frame: pd.DataFrame, own: Task, others: list[Task]) -> None:
    for other in others:
        if other.column in frame.columns and has_labels(other, frame[other.column]):
            raise ValueError(
                f"The frame must hold labels of task {own.name!r} alone. Received: "
                f"labels of task {other.name!r} too, in column {other.column!r}. Drop "
                "the column."
            )
