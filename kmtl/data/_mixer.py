"""Mixes the rows of several tasks as a schedule says."""

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from kmtl.data._order import Rows
from kmtl.data._own_labels import Joint
from kmtl.data._row_stream import RowStream
from kmtl.data._schedule import Schedule

# Batches are put together in blocks: to cut 100 tasks takes as long for 10 as for one.
_BLOCK_BATCHES = 16
_BLOCK_BYTES = 2**24

# Rows in pieces, each with the position of its task.
_Pieces: TypeAlias = list[tuple[int, Rows]]


@dataclass
class Mixer:
    """Gives packed batches one after the other.

    A batch that is not the next one is found from the rows of each task that come
    before it.

    Attributes:
        streams: The rows of each task of the schedule.
        places: The position of each in the model.
        schedule: Says what comes when.
        joint: Puts rows together.
        errors: Takes what is raised: TensorFlow would make texts of it.
    """

    streams: Sequence[RowStream]
    places: Sequence[int]
    schedule: Schedule
    joint: Joint
    errors: list[Exception]
    _next: tuple[int, int] = field(default=(0, 0), init=False)
    _batches: deque[Rows] = field(default_factory=deque, init=False)
    _tasks: np.ndarray = field(default_factory=lambda: np.empty(0, int), init=False)
    _tasks_of: int = field(default=-1, init=False)
    _block_batches: int = field(default=1, init=False)

    def batch(self, epoch: int, step: int) -> Rows:
        """Returns the arrays of one batch."""
        try:
            return self._batch(int(epoch), int(step))
        except Exception as error:
            self.errors.append(error)
            raise

    def _batch(self, epoch: int, step: int) -> Rows:
        if (epoch, step) != self._next:
            self._go_to(epoch, step)
        if not self._batches:
            self._batches.extend(self._block(epoch, step))
        is_last = step + 1 == self.schedule.steps
        self._next = (epoch + 1, 0) if is_last else (epoch, step + 1)
        return self._batches.popleft()

    def _go_to(self, epoch: int, step: int) -> None:
        self._batches.clear()
        positions = self.schedule.rows_before(epoch, step)
        for stream, position in zip(self.streams, positions, strict=True):
            stream.go_to(int(position))

    def _block(self, epoch: int, step: int) -> list[Rows]:
        """Reads some batches at once, of one epoch."""
        if epoch != self._tasks_of:
            self._tasks_of, self._tasks = epoch, self.schedule.tasks(epoch)
        units = self.schedule.batch_units
        tasks = self._tasks[step * units : (step + self._block_batches) * units]
        read = self._mixed if self.schedule.mixed else self._one_by_one
        pieces, order, ends = read(tasks)
        arrays = self.joint.join(pieces, order)
        a_batch = sum(array.nbytes for array in arrays) // (len(ends) - 1)
        fitting = _BLOCK_BYTES // max(a_batch, 1)
        self._block_batches = min(max(fitting, 1), _BLOCK_BATCHES)
        return [[a[i:j] for a in arrays] for i, j in itertools.pairwise(ends)]

    def _mixed(self, tasks: np.ndarray) -> tuple[_Pieces, np.ndarray, np.ndarray]:
        """Takes rows task by task: rows, their places, and where batches end."""
        pieces = [
            (self.places[task], piece)
            for task, count in enumerate(np.bincount(tasks).tolist())
            for piece in self.streams[task].take(count)
        ]
        ends = np.arange(0, len(tasks), self.schedule.batch_size)
        order = np.argsort(tasks, kind="stable")
        return pieces, order, np.append(ends, len(tasks))

    def _one_by_one(self, tasks: np.ndarray) -> tuple[_Pieces, np.ndarray, np.ndarray]:
        """Takes a batch of one task after the other."""
        batches = [self.streams[t].rest(self.schedule.batch_size) for t in tasks]
        pieces = [
            (self.places[task], piece)
            for task, batch in zip(tasks, batches, strict=True)
            for piece in batch
        ]
        sizes = [sum(len(piece[0]) for piece in batch) for batch in batches]
        ends = np.cumsum([0, *sizes])
        return pieces, np.arange(ends[-1]), ends


def batches_of(
    mixer: Mixer, spec: Any, encode: Callable[[Any], Any]
) -> Callable[[Any, tf.data.Dataset], tf.data.Dataset]:
    """Returns what reads the steps of an epoch, see `Reader`.

    Args:
        mixer: Gives flat batches.
        spec: What they look like: inputs and packed labels.
        encode: What becomes of the inputs.
    """
    leaves = tf.nest.flatten(spec)
    dtypes = [leaf.dtype for leaf in leaves]

    def batch(epoch: Any, step: Any) -> Any:
        flat = tf.numpy_function(mixer.batch, [epoch, step], dtypes)
        for tensor, leaf in zip(flat, leaves, strict=True):
            if leaf.shape.rank is not None:  # else known when it is read
                tensor.set_shape((None, *leaf.shape[1:]))
        x, packed = tf.nest.pack_sequence_as(spec, flat)
        return encode(x), packed

    return lambda epoch, steps: steps.map(lambda step: batch(epoch, step))
