"""Rows of several tasks that come from files -> mixed packed batches."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from kmtl._checks import check_known_keys, shorten
from kmtl.data._adapter import Adapter
from kmtl.data._datasets import packed_template
from kmtl.data._epoch import Epoch
from kmtl.data._mixer import batches_of
from kmtl.data._own_labels import own_adapter
from kmtl.data._pack import ClassFactors
from kmtl.data._row_stream import Chunk, RowStream
from kmtl.data._schedule import Schedule
from kmtl.data._source import Source
from kmtl.data._stream import Feed, SourceStream
from kmtl.data._task_rows import Reader, Reading, RowsOfTasks, naming
from kmtl.data._task_streams import mixer_of, specs_of


@dataclass(frozen=True)
class TaskSource:
    """The rows of one task.

    Attributes:
        task: Name of the task.
        source: Its table; the label column of the task is among those it reads.
        rows: How many rows it has.
    """

    task: str
    source: Source
    rows: int

    def stream(
        self, adapter: Adapter, reading: Reading, *, shuffled: bool
    ) -> RowStream:
        """Returns the rows, encoded and packed; shuffled anew in each pass, or not."""
        self._check_no_other_labels(adapter)
        stream = SourceStream(
            self.source,
            own_adapter(adapter, self.task),
            Feed(),
            sample_weight=_of_task(reading.sample_weight, self.task),
            class_weight=_of_task(reading.class_weight, self.task),
            training=reading.training,
            memory={} if shuffled and self._fits() else None,
        )
        chunks = partial(self._chunks, stream, shuffled, reading.factors(adapter))
        exact = not self.source.skip_corrupt
        return RowStream(self.task, self.rows, chunks, exact)

    def encoded_labels(self, adapter: Adapter, batches: int) -> np.ndarray:
        """Reads the labels as numbers, `(rows, ...)`."""
        del batches  # all files end
        own = own_adapter(adapter, self.task)
        (task,) = own.packer.tasks
        with naming(self.task):
            parts = [
                own.packer.encode(own.labels(frame, None))[0]
                for frame in self.source.frames({task.column})
            ]
        return np.concatenate(parts)

    def _chunks(
        self,
        stream: SourceStream,
        shuffled: bool,
        factors: ClassFactors | None,
        first_pass: int,
    ) -> Iterator[Chunk]:
        """Reads passes on and on; the order of each depends on its number."""
        lacks_factors = factors is not None and self.task not in factors
        for number in itertools.count(first_pass):
            feed = Feed(epoch=Epoch(number) if shuffled else None)
            is_first = True
            with naming(self.task):
                for rows in dataclasses.replace(stream, feed=feed).read():
                    place = len(stream.adapter.specs)  # of factors, then of labels
                    ones = [np.ones_like(rows[place])] if lacks_factors else []
                    yield is_first, [*rows[:place], *ones, *rows[place:]]
                    is_first = False
            if is_first:
                return

    def _fits(self) -> bool:
        """Whether all rows are held anyway, in the buffer that they are drawn from.

        They then stay: to open a small file takes longer than to read it.
        """
        return self.rows <= self.source.buffer_rows and not self.source.skip_corrupt

    def _check_no_other_labels(self, adapter: Adapter) -> None:
        tasks = {task.name: task for task in adapter.packer.tasks}
        own = tasks.pop(self.task)
        source = self.source
        columns = list(source.columns) or source.column_names()
        others = {task.column for task in tasks.values()} - {own.column}
        if found := [column for column in columns if column in others]:
            raise ValueError(
                f"The source of task {self.task!r} must hold labels of this task "
                f"alone. Received: columns {shorten(found)} of other tasks too. Name "
                "the columns to read with `columns=`."
            )


@dataclass(frozen=True)
class RowsInSources(RowsOfTasks[TaskSource]):
    """The rows of all tasks, in files."""

    def reader(self, adapter: Adapter, schedule: Schedule, reading: Reading) -> Reader:
        """Encodes and packs frames; their rows are cut and put together anew."""
        if isinstance(reading.sample_weight, Mapping):
            names = [task.name for task in adapter.packer.tasks]
            check_known_keys(reading.sample_weight, names, "sample_weight")
        inputs = {
            name: tf.TensorSpec((None, *shape), dtype)
            for name, (shape, dtype) in adapter.specs.items()
        }
        factors = reading.factors(adapter)
        template = packed_template(adapter, reading.sample_weight, factors)
        shuffled = schedule.shuffles
        streams = [p.stream(adapter, reading, shuffled=shuffled) for p in self.parts]
        mixer = mixer_of(adapter, streams, schedule, (inputs, template), reading)
        return batches_of(mixer, (inputs, specs_of(template, adapter)), lambda x: x)


def read_source(task: str, source: Source) -> TaskSource:
    """Takes a table in files as the rows of a task.

    Rows are counted by reading them once, unless the files say how many they are.

    Raises:
        ValueError: If there are none.
    """
    with naming(task):
        return TaskSource(task, source, source.count())


def _of_task(given: Any, task: str) -> Any:
    """Returns what is said of a task, in the form in which it is said of all."""
    if not isinstance(given, Mapping):
        return given
    return {name: value for name, value in given.items() if name == task}
