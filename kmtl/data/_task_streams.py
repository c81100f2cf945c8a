"""Rows of several tasks that come from datasets -> mixed packed batches."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from kmtl._checks import check_known_keys
from kmtl.data._adapter import Adapter
from kmtl.data._datasets import encoded_labels, input_encoder, packed_template
from kmtl.data._mixer import Mixer, batches_of
from kmtl.data._own_labels import Joint, own_adapter
from kmtl.data._pack import ClassFactors
from kmtl.data._row_stream import Chunk, RowStream
from kmtl.data._schedule import ENDLESS, Schedule
from kmtl.data._task_rows import (
    Reader,
    Reading,
    RowsOfTasks,
    compare_forms,
    naming,
    own_labels,
)


@dataclass(frozen=True)
class TaskStream:
    """The rows of one task, as batches `(x, y)` or with weights.

    Attributes:
        task: Name of the task.
        dataset: Its batches.
        rows: How many rows it has, `ENDLESS` if it does not end.
    """

    task: str
    dataset: tf.data.Dataset
    rows: int

    def stream(self, adapter: Adapter, factors: ClassFactors | None) -> RowStream:
        """Returns the rows with inputs as they are and with packed labels."""
        chunks = partial(self._chunks, own_adapter(adapter, self.task), factors)
        return RowStream(self.task, self.rows, chunks)

    def encoded_labels(self, adapter: Adapter, batches: int) -> np.ndarray:
        """Reads labels as numbers, `(rows, ...)`; if endless, those of some batches."""
        limit = batches if self.rows == ENDLESS else None
        with naming(self.task):
            own = own_adapter(adapter, self.task)
            (column,) = encoded_labels(self.dataset, own, limit)
        return column

    def _chunks(
        self, own: Adapter, factors: ClassFactors | None, first_pass: int
    ) -> Iterator[Chunk]:
        """Reads batches on and on; what a dataset draws depends on passes before."""
        options = tf.data.Options()
        options.autotune.enabled = False  # a hundred tuners cost more than they gain
        # One iterator for all passes: to make one takes longer than to read a batch.
        endless = self.dataset.enumerate().repeat().with_options(options)
        number = -1
        for position, batch in endless:
            is_first = int(position) == 0
            number += is_first
            if number >= first_pass:
                yield is_first, self._packed(own, factors, *batch)

    def _packed(
        self, own: Adapter, factors: ClassFactors | None, x: Any, y: Any, *weight: Any
    ) -> list[np.ndarray]:
        inputs, labels, weights = (
            tf.nest.map_structure(np.asarray, part) for part in (x, y, weight)
        )
        arrays: list[np.ndarray] = tf.nest.flatten(inputs)
        with naming(self.task):
            packed = own.packer.pack(
                own.packer.encode(own.labels(None, labels), len(arrays[0])),
                sample_weight=weights[0] if weights else None,
                class_factors=factors,
            )
        return arrays + tf.nest.flatten(packed)


@dataclass(frozen=True)
class RowsInDatasets(RowsOfTasks[TaskStream]):
    """The rows of all tasks, in datasets."""

    def reader(self, adapter: Adapter, schedule: Schedule, reading: Reading) -> Reader:
        """Packs the batches of each dataset; theirs are cut and put together anew."""
        if reading.sample_weight is not None:
            raise ValueError(
                "`sample_weight` must come from the datasets: (x, y, sample_weight). "
                f"Received: {reading.sample_weight!r}."
            )
        first = self.parts[0]  # they are all of one form
        with naming(first.task):
            encode = input_encoder(first.dataset, adapter)
        x, _, *weight = first.dataset.element_spec
        factors = reading.factors(adapter)
        template = packed_template(adapter, weight[0] if weight else None, factors)
        streams = [part.stream(adapter, factors) for part in self.parts]
        mixer = mixer_of(adapter, streams, schedule, (x, template), reading)
        return batches_of(mixer, (x, specs_of(template, adapter)), encode)


def mixer_of(
    adapter: Adapter,
    streams: Sequence[RowStream],
    schedule: Schedule,
    form: tuple[Any, Mapping[str, Any]],
    reading: Reading,
) -> Mixer:
    """Returns what mixes rows that are packed each for its own task.

    Args:
        adapter: Of all tasks.
        streams: The rows of each task of the schedule.
        schedule: Says what comes when.
        form: The structures of inputs and of packed labels.
        reading: Takes the errors.
    """
    names = [task.name for task in adapter.packer.tasks]
    inputs, template = form
    joint = Joint(adapter.packer, len(tf.nest.flatten(inputs)), sorted(template))
    places = [names.index(stream.task) for stream in streams]
    return Mixer(streams, places, schedule, joint, reading.errors)


def specs_of(template: Mapping[str, Any], adapter: Adapter) -> Any:
    """Returns what packed labels look like."""
    return tf.nest.map_structure(
        lambda shape: tf.TensorSpec(shape, adapter.packer.dtype), template
    )


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
    if len(spec) == 3 and isinstance(spec[2], Mapping):
        with naming(task):
            check_known_keys(spec[2], [task], "sample_weight")
    of_rows = _is_of_rows(task, spec[1])
    rows = _count(dataset, of_rows)
    if rows == 0:
        raise ValueError(
            f"Data of task {task!r} must hold at least one row. Received: none. Leave "
            "the task out to train without it."
        )
    if of_rows:
        dataset = dataset.batch(batch_size)
    return TaskStream(task, dataset, rows)


def _is_of_rows(task: str, labels: Any) -> bool:
    """Whether a dataset gives single rows, as the rank of its labels tells."""
    rank = tf.nest.flatten(labels)[0].shape.rank
    if rank is None:
        raise ValueError(
            f"Data of task {task!r} must be a dataset that tells rows from batches. "
            "Received: labels of unknown rank. Name their shape: "
            "`from_generator(..., output_signature=...)`, or `dataset.map(lambda x, y: "
            "(x, tf.ensure_shape(y, ())))` for rows."
        )
    return bool(rank == 0)


def check_same_specs(streams: Sequence[TaskStream]) -> None:
    """Raises `ValueError` where the datasets of tasks differ in inputs or weights."""
    forms = {stream.task: _form(stream.dataset.element_spec) for stream in streams}
    first = next(iter(forms))
    for task, form in forms.items():
        compare_forms((first, forms[first]), (task, form))


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
    labels = "labels"
    if len(spec) == 3:
        labels += " and weights" + " by task" * isinstance(spec[2], Mapping)
    return {**form, "y": labels}
