"""Rows of several tasks that come from datasets -> mixed packed batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from kmtl._typing import ByTask
from kmtl.data._adapter import Adapter
from kmtl.data._datasets import encoded_labels, pack_dataset
from kmtl.data._schedule import ENDLESS, Schedule
from kmtl.data._task_rows import Reader, compare_forms, naming, own_labels

# Some rows of inputs and packed labels, flattened.
_Arrays: TypeAlias = list[np.ndarray]


@dataclass(frozen=True)
class TaskStream:
    """The rows of one task, as batches `(x, {task: y})` or with weights.

    Attributes:
        task: Name of the task.
        dataset: Its batches.
        rows: How many rows it has, `ENDLESS` if it does not end.
    """

    task: str
    dataset: tf.data.Dataset
    rows: int

    def pack(self, adapter: Adapter, class_weight: ByTask | None) -> tf.data.Dataset:
        """Returns the dataset with encoded inputs and packed labels."""
        with naming(self.task):
            return pack_dataset(
                self.dataset, adapter, class_weight=class_weight, training=True
            )

    def encoded_labels(self, adapter: Adapter, batches: int) -> np.ndarray:
        """Reads labels as numbers, `(rows, ...)`; if endless, those of some batches."""
        names = [task.name for task in adapter.packer.tasks]
        limit = batches if self.rows == ENDLESS else None
        with naming(self.task):
            columns = encoded_labels(self.dataset, adapter, limit)
        return columns[names.index(self.task)]


@dataclass(frozen=True)
class RowsInDatasets:
    """The rows of all tasks."""

    parts: Sequence[TaskStream]

    @property
    def sizes(self) -> dict[str, int]:
        """Rows by task name."""
        return {part.task: part.rows for part in self.parts}

    def encoded_labels(self, adapter: Adapter, steps: int) -> dict[str, np.ndarray]:
        """Reads labels as numbers by task name, not standardised."""
        return {part.task: part.encoded_labels(adapter, steps) for part in self.parts}

    def reader(
        self,
        adapter: Adapter,
        schedule: Schedule,
        *,
        sample_weight: Any,
        class_weight: ByTask | None,
    ) -> Reader:
        """Packs the batches of each dataset; theirs are cut and put together anew."""
        if sample_weight is not None:
            raise ValueError(
                "`sample_weight` must come from the datasets: (x, y, sample_weight). "
                f"Received: {sample_weight!r}."
            )
        packed = {part.task: part.pack(adapter, class_weight) for part in self.parts}
        mixer = Mixer(packed, schedule)
        spec = next(iter(packed.values())).element_spec
        leaves = tf.nest.flatten(spec)

        def batch(epoch: Any, step: Any) -> Any:
            dtypes = [leaf.dtype for leaf in leaves]
            flat = tf.numpy_function(mixer.batch, [epoch, step], dtypes)
            for tensor, leaf in zip(flat, leaves, strict=True):
                tensor.set_shape((None, *leaf.shape[1:]))
            return tf.nest.pack_sequence_as(spec, flat)

        return lambda epoch, steps: steps.map(lambda step: batch(epoch, step))


def read_stream(task: str, dataset: tf.data.Dataset, batch_size: int) -> TaskStream:
    """Takes a dataset of rows or of batches as the rows of a task.

    Rows are counted by reading the dataset once, unless it says how many they are.

    Raises:
        ValueError: If its form is wrong or it holds no rows.
    """
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise ValueError(
            f"Data of task {task!r} must be a dataset of (x, y) or (x, y, "
            f"sample_weight). Received: {spec!r}."
        )
    own_labels(task, spec[1])
    of_rows = any(leaf.shape.rank == 0 for leaf in tf.nest.flatten(spec[1]))
    rows = _count(dataset, of_rows)
    if rows == 0:
        raise ValueError(
            f"Data of task {task!r} must hold at least one row. Received: none. Leave "
            "the task out to train without it."
        )
    if of_rows:
        dataset = dataset.batch(batch_size)

    def named(x: Any, y: Any, *weight: Any) -> Any:
        return x, {task: own_labels(task, y)}, *weight

    return TaskStream(task, dataset.map(named), rows)


def check_same_specs(streams: Sequence[TaskStream]) -> None:
    """Raises `ValueError` where the datasets of tasks differ in inputs or weights."""
    forms = {stream.task: _form(stream.dataset.element_spec) for stream in streams}
    first = next(iter(forms))
    for task, form in forms.items():
        compare_forms((first, forms[first]), (task, form))


class Mixer:
    """Mixes packed batches of tasks as a schedule says.

    Reads every dataset on and on, from its start again when it has ended. Batches that
    are asked for out of order are found by reading what comes before them.
    """

    def __init__(
        self, packed: Mapping[str, tf.data.Dataset], schedule: Schedule
    ) -> None:
        self._packed = packed
        self._schedule = schedule
        self._units = schedule.batch_size if schedule.mixed else 1  # a batch
        self._tasks = np.empty(0, dtype="int64")
        self._epoch = -1
        self._rewind()

    def batch(self, epoch: int, step: int) -> _Arrays:
        """Returns the arrays of one batch."""
        if (epoch, step) < self._next:
            self._rewind()
        while self._next < (epoch, step):
            self._read()
        return self._read()

    def _rewind(self) -> None:
        self._next = (0, 0)
        self._readers = [
            _Passes(task, dataset, self._schedule.sizes[task])
            for task, dataset in self._packed.items()
        ]

    def _read(self) -> _Arrays:
        epoch, step = self._next
        if epoch != self._epoch:
            self._epoch, self._tasks = epoch, self._schedule.tasks(epoch)
        start = step * self._units
        tasks = self._tasks[start : start + self._units]
        is_last = start + len(tasks) == len(self._tasks)
        self._next = (epoch + 1, 0) if is_last else (epoch, step + 1)
        if self._schedule.mixed:
            return self._mix(tasks)
        return _joined(self._readers[tasks[0]].rest(self._schedule.batch_size))

    def _mix(self, tasks: np.ndarray) -> _Arrays:
        counts = np.bincount(tasks)
        present = np.flatnonzero(counts)
        pieces = [p for t in present for p in self._readers[t].take(counts[t])]
        places = np.argsort(np.argsort(tasks, kind="stable"))
        return [np.take(array, places, axis=0) for array in _joined(pieces)]


class _Passes:
    """Reads the rows of one task, any number at once, pass after pass."""

    def __init__(self, task: str, dataset: tf.data.Dataset, rows: int) -> None:
        self._task = task
        self._rows = rows
        options = tf.data.Options()
        options.autotune.enabled = False  # a hundred tuners cost more than they gain
        # One iterator for all passes: to make one takes longer than to read a batch.
        endless = dataset.enumerate().repeat().with_options(options)
        self._batches = iter(endless.as_numpy_iterator())
        self._arrays: _Arrays = []
        self._unread = 0  # of the batch at hand
        self._received = rows  # in this pass
        self._taken = 0  # in this pass

    def rest(self, most: int) -> list[_Arrays]:
        """Takes rows of one pass, fewer than `most` at its end."""
        return self.take(min(most, self._rows - self._taken))

    def take(self, count: int) -> list[_Arrays]:
        """Takes rows in pieces, of the next pass too when this one ends."""
        pieces = []
        self._taken = (self._taken + count) % self._rows
        while count > 0:
            if self._unread == 0:
                self._next_batch()
            some = min(count, self._unread)
            start = len(self._arrays[0]) - self._unread
            pieces.append([array[start : start + some] for array in self._arrays])
            self._unread -= some
            count -= some
        return pieces

    def _next_batch(self) -> None:
        number, batch = next(self._batches, (0, ()))
        self._arrays = [np.asarray(leaf) for leaf in tf.nest.flatten(batch)]
        self._unread = len(self._arrays[0]) if self._arrays else 0
        if number == 0:
            self._check_received(self._received != self._rows or not self._unread)
            self._received = 0
        self._received += self._unread
        self._check_received(self._received > self._rows)

    def _check_received(self, is_wrong: bool) -> None:
        if is_wrong:
            raise ValueError(
                f"The dataset of task {self._task!r} must give {self._rows} rows, as "
                f"when they were counted. Received: {self._received} or more."
            )


def _joined(pieces: list[_Arrays]) -> _Arrays:
    if len(pieces) == 1:
        return pieces[0]
    return [np.concatenate(arrays) for arrays in zip(*pieces, strict=True)]


def _count(dataset: tf.data.Dataset, of_rows: bool) -> int:
    known = int(dataset.cardinality())
    if known == int(tf.data.INFINITE_CARDINALITY):
        return ENDLESS
    if of_rows and known >= 0:
        return known

    def add(total: Any, element: Any) -> Any:
        labels = tf.nest.flatten(element[1])[0]
        return total + (1 if of_rows else tf.shape(labels, out_type="int64")[0])

    return int(dataset.reduce(np.int64(0), add))


def _form(spec: Any) -> dict[str, str]:
    x = spec[0] if isinstance(spec[0], Mapping) else {"x": spec[0]}
    form = {
        name: f"{leaf.dtype.name} of shape {leaf.shape[1:]}" for name, leaf in x.items()
    }
    weights = " and weights" if len(spec) == 3 else ""
    return {**form, "y": f"labels{weights}"}
