"""A source -> a dataset of packed batches."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from kmtl._checks import check_positive_integer
from kmtl._typing import ByTask
from kmtl.data._adapter import Adapter
from kmtl.data._cache import ChunkCache
from kmtl.data._datasets import packed_template
from kmtl.data._epoch import Epoch
from kmtl.data._order import Rows, in_turn, mix_rows
from kmtl.data._pack import resolve_class_weight
from kmtl.data._source import Piece, Source
from kmtl.features._streaming import naming_shard
from kmtl.tasks import BinaryTask, MulticlassTask, Task, class_values

_BATCH_SIZE = 32  # as Keras


@dataclass
class Feed:
    """How rows are fed to a model, and what went wrong while they were.

    Attributes:
        batch_size: Rows of a batch.
        epoch: The epoch of training, on which the order of the rows depends; `None`
            leaves them in order.
        errors: What was raised while rows were read: TensorFlow would make texts of it.
    """

    batch_size: int = _BATCH_SIZE
    epoch: Epoch | None = None
    errors: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuses batches without rows."""
        check_positive_integer(self.batch_size, "batch_size")

    @classmethod
    def of(
        cls, x: Any, arguments: dict[str, Any], epoch: Epoch | None = None
    ) -> "Feed":
        """Reads the arguments of `fit`, `evaluate` or `predict`.

        Args:
            x: The data.
            arguments: The arguments; `shuffle` is taken out if `x` is a source.
            epoch: The epoch of training.
        """
        if not isinstance(x, Source) or not arguments.pop("shuffle", True):
            epoch = None
        batch_size = arguments.get("batch_size")
        return cls(_BATCH_SIZE if batch_size is None else batch_size, epoch)

    def for_validation(self, arguments: Mapping[str, Any]) -> "Feed":
        """Returns how rows of validation are fed."""
        batch_size = arguments.get("validation_batch_size")
        if batch_size is None:
            batch_size = self.batch_size
        return Feed(batch_size, errors=self.errors)

    @contextmanager
    def own_errors(self) -> Iterator[None]:
        """Raises what went wrong in place of what TensorFlow makes of it."""
        try:
            yield
        except tf.errors.OpError as error:
            if self.errors:
                raise self.errors[0] from error
            raise


@dataclass(frozen=True)
class SourceStream:
    """Encodes the frames of a source, one after the other.

    Attributes:
        source: The rows.
        adapter: Encodes and packs them.
        feed: How they are fed.
        sample_weight: Name of the column with weights, or names by task.
        class_weight: Class weights by task name.
        training: Whether class weights count.
        labelled: Whether labels are read.
        memory: Keeps encoded rows by piece for later passes, if given.
    """

    source: Source
    adapter: Adapter
    feed: Feed
    sample_weight: Any = None
    class_weight: ByTask | None = None
    training: bool = False
    labelled: bool = True
    memory: dict[int, list[Rows]] | None = None

    def __post_init__(self) -> None:
        """Refuses weights that are not in the table."""
        for weight in _leaves(self.sample_weight):
            if not isinstance(weight, str):
                raise ValueError(
                    "`sample_weight` must name a column of the source, or one for each "
                    f"task. Received: {type(weight).__name__}."
                )

    def dataset(self) -> tf.data.Dataset:
        """Returns a dataset of batches, read anew each time it is iterated over."""
        template = self._template()
        flat = tf.nest.flatten(template)

        def packed(*arrays: Any) -> Any:
            return tf.nest.pack_sequence_as(template, arrays)

        data = tf.data.Dataset.from_generator(
            lambda: map(tuple, self.read()), output_signature=tuple(flat)
        )
        data = data.map(packed).rebatch(self.feed.batch_size)
        # Keras knows the end of an epoch, and shows it, where it knows the steps.
        steps = -(-self.source.count(self._columns()) // self.feed.batch_size)
        known = tf.data.experimental.assert_cardinality(steps)
        return data.apply(known).prefetch(2).with_options(_unsharded())

    def _template(self) -> Any:
        """What a batch looks like."""
        inputs = {
            name: tf.TensorSpec((None, *shape), dtype)
            for name, (shape, dtype) in self.adapter.specs.items()
        }
        if not self.labelled:
            return inputs
        factors = self._factors() if self.training else None
        shapes = packed_template(self.adapter, self.sample_weight, factors)
        dtype = self.adapter.packer.dtype
        return inputs, tf.nest.map_structure(
            lambda shape: tf.TensorSpec(shape, dtype), shapes
        )

    def read(self) -> Iterator[Rows]:
        """Reads all rows once, as flat arrays of inputs and packed labels."""
        try:
            yield from self._timed()
        except Exception as error:
            self.feed.errors.append(error)
            raise

    def _timed(self) -> Iterator[Rows]:
        """Passes rows on and notes how fast they were made."""
        rows, seconds = 0, 0.0
        start = time.perf_counter()
        for chunk in self._ordered():
            seconds += time.perf_counter() - start
            rows += len(chunk[0])
            yield chunk
            start = time.perf_counter()
        self.source.rows_per_second = rows / (seconds or 1.0)

    def _ordered(self) -> Iterator[Rows]:
        skipped = list(self.source.broken)
        pieces = list(enumerate(self.source.pieces()))
        if self.feed.epoch is None:
            streams = (self._chunks(piece, skipped) for piece in pieces)
            return self._counted(in_turn(streams, 1), skipped)
        rng = np.random.default_rng([self.source.seed, self.feed.epoch.number])
        order = rng.permutation(len(pieces))
        streams = (self._chunks(pieces[i], skipped) for i in order)
        chunks = in_turn(streams, self.source.interleave)
        return mix_rows(self._counted(chunks, skipped), self.source.buffer_rows, rng)

    def _counted(self, chunks: Iterable[Rows], skipped: list[str]) -> Iterator[Rows]:
        rows = 0
        labelled = np.zeros(len(self.adapter.packer.tasks), dtype=bool)
        for chunk in chunks:
            rows += len(chunk[0])
            if self.training:
                labelled |= self._labelled(chunk)
            yield chunk
        self.source.passed(rows, skipped)
        if self.training:
            self._check_learnable(labelled, rows)

    def _labelled(self, chunk: Rows) -> np.ndarray:
        """Which tasks have a label in some rows."""
        _, packed = tf.nest.pack_sequence_as(self._template(), chunk)
        groups = self.adapter.packer.groups
        found = np.zeros(len(self.adapter.packer.tasks), dtype=bool)
        for group, labels in zip(groups, packed["labels"], strict=True):
            by_task = np.moveaxis(labels, 1, 0).reshape(len(group.indices), -1)
            found[list(group.indices)] = ~np.isnan(by_task).all(axis=1)
        return found

    def _check_learnable(self, labelled: np.ndarray, rows: int) -> None:
        for task, is_labelled in zip(self.adapter.packer.tasks, labelled, strict=True):
            if not is_labelled:
                raise ValueError(
                    f"Every label of task {task.name!r} is missing or does not count. "
                    f"Received: {rows} rows. Train a model without the task."
                )

    def _factors(self) -> Any:
        return resolve_class_weight(self.adapter.packer.tasks, self.class_weight)

    def _columns(self) -> set[str]:
        """The columns that are needed."""
        features = self.adapter.features
        names = set() if features is None else set(features.names)
        if not self.labelled:
            return names
        labels = {task.column for task in self.adapter.packer.tasks}
        return names | labels | {*_leaves(self.sample_weight)}

    def _made_of(self) -> dict[str, Any]:
        """All that the encoded rows depend on."""
        features, packer = self.adapter.features, self.adapter.packer
        made_of = {
            "source": self.source.identity(),
            "features": features and features.get_config(),
        }
        if not self.labelled:
            return made_of
        return {
            **made_of,
            "labels": [_label_spec(task) for task in packer.tasks],
            "groups": [group.indices for group in packer.groups],
            "statistics": [packer.mean.tolist(), packer.scale.tolist(), packer.dtype],
            "sample_weight": self.sample_weight,
            "class_weight": self._factors() if self.training else None,
        }

    def _chunks(self, piece: tuple[int, Piece], skipped: list[str]) -> Iterator[Rows]:
        if self.memory is None:
            return self._made(piece, skipped)
        if piece[0] not in self.memory:
            self.memory[piece[0]] = list(self._made(piece, skipped))
        return iter(self.memory[piece[0]])

    def _made(self, piece: tuple[int, Piece], skipped: list[str]) -> Iterator[Rows]:
        number, part = piece
        frames = self.source.frames_of(part, skipped, self._columns())
        chunks = map(self._encode, frames)
        if self.source.cache is None:
            return chunks
        cache: ChunkCache = ChunkCache.of(self.source.cache, self._made_of())
        return cache.chunks(number, chunks)

    def _encode(self, frame: pd.DataFrame) -> Rows:
        with naming_shard(frame):
            if not self.labelled:
                return tf.nest.flatten(self.adapter.inputs(frame))
            inputs, packed = self.adapter.batch(
                frame,
                None,
                sample_weight=self.sample_weight,
                class_weight=self.class_weight,
                training=self.training,
                whole=False,
            )
        return tf.nest.flatten((inputs, packed))


def _unsharded() -> tf.data.Options:
    """Keeps distribution strategies from rewriting the dataset: they lose `rebatch`."""
    options = tf.data.Options()
    off = tf.data.experimental.AutoShardPolicy.OFF
    options.experimental_distribute.auto_shard_policy = off
    return options


def _leaves(sample_weight: Any) -> list[Any]:
    if isinstance(sample_weight, Mapping):
        return list(sample_weight.values())
    return [] if sample_weight is None else [sample_weight]


def _label_spec(task: Task) -> list[Any]:
    """What the encoded labels of a task depend on."""
    spec = [type(task).__name__, task.name, task.column, task.missing, task.only_if]
    if isinstance(task, BinaryTask):
        spec.append(task.positive)
    if isinstance(task, (BinaryTask, MulticlassTask)):
        spec.append(class_values(task))
    return spec
