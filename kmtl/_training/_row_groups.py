"""The rows of a batch, in groups of one task each."""

from dataclasses import dataclass
from typing import Any, Self

import tensorflow as tf

from kmtl._typing import Tensor

# How much larger than the mean of the tasks groups may be, so that each task needs one.
_WIDE = 3


@dataclass(frozen=True)
class RowGroups:
    """Rows of one task each, put together by task in groups of one size.

    A task with more rows than fit into a group has several. Places that stay empty hold
    a row of another group, of which nothing is taken.

    Attributes:
        owners: The task of each group, `(groups,)`.
        is_one_each: Whether each task has one group, in their order, a scalar; `None`
            where the number of groups is static.
        size: Rows of a group.
        rows: The row in each place, `(groups * size,)`, group by group.
        places: The place of each row, `(rows,)`.
        is_full: Whether a place holds a row of its group, `(groups * size,)`.
    """

    owners: Tensor
    is_one_each: Tensor | None
    size: Tensor
    rows: Tensor
    places: Tensor
    is_full: Tensor

    @classmethod
    def of(cls, tasks: Tensor, count: int, *, is_static: bool) -> Self:
        """Groups rows.

        Args:
            tasks: The task of each row, `(rows,)`.
            count: How many tasks there are.
            is_static: Whether the number of groups may depend on how many rows there
                are only, not on their tasks, as XLA needs it. Then there are up to
                twice as many places as rows.
        """
        total = tf.size(tasks)
        sizes = tf.math.unsorted_segment_sum(tf.ones_like(tasks), tasks, count)
        divide = _divided_by_rows if is_static else _divided_by_tasks
        size, counts, groups = divide(sizes, total)
        owners = tf.searchsorted(tf.cumsum(counts), tf.range(groups), side="right")
        order = tf.argsort(tasks, stable=True)
        taken = _places(tf.gather(tasks, order), sizes, counts, size)
        rows = tf.scatter_nd(taken[:, None], order, [groups * size])
        places = tf.scatter_nd(order[:, None], taken, [total])
        return cls(
            owners=tf.minimum(owners, count - 1),
            is_one_each=None if is_static else tf.reduce_all(counts == 1),
            size=size,
            rows=rows,
            places=places,
            is_full=tf.gather(places, rows) == tf.range(groups * size),
        )

    def tasks(self) -> Tensor:
        """The task of each row, by position, `(rows,)`."""
        return tf.gather(self.owners, self.places // self.size)

    def grouped(self, by_row: Tensor) -> Tensor:
        """From `(rows, ..., features)` to `(size, ..., groups, features)`."""
        placed = self._put(by_row)
        shape = tf.concat([[tf.size(self.owners), self.size], tf.shape(placed)[1:]], 0)
        grouped = tf.reshape(placed, shape)
        grouped.set_shape((None, None, *by_row.shape[1:]))
        rank = len(grouped.shape)
        return tf.transpose(grouped, (*range(1, rank - 1), 0, rank - 1))

    def by_row(self, grouped: Tensor) -> Tensor:
        """From `(size, ..., groups, features)` to `(rows, ..., features)`."""
        rank = len(grouped.shape)
        ahead = tf.transpose(grouped, (rank - 2, *range(rank - 2), rank - 1))
        placed = tf.reshape(ahead, tf.concat([[-1], tf.shape(ahead)[2:]], 0))
        placed.set_shape((None, *ahead.shape[2:]))
        return self._taken(placed)

    # TensorFlow's gradient of a gather adds up by index. Here each row has one place:
    # the gradient of either is a gather too, several times faster.

    def _put(self, by_row: Tensor) -> Tensor:
        @tf.custom_gradient
        def put(values: Tensor) -> Any:
            return tf.gather(values, self.rows), lambda g: tf.gather(g, self.places)

        return put(by_row)

    def _taken(self, placed: Tensor) -> Tensor:
        @tf.custom_gradient
        def take(values: Tensor) -> Any:
            def back(gradient: Tensor) -> Tensor:
                is_full = tf.reshape(self.is_full, (-1, *[1] * (len(values.shape) - 1)))
                return tf.where(is_full, tf.gather(gradient, self.rows), 0)

            return tf.gather(values, self.places), back

        return take(placed)


def _divided_by_rows(sizes: Tensor, total: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Divides tasks into groups whose number depends on how many rows there are.

    Args:
        sizes: Rows of each task.
        total: Rows of all tasks.

    Returns:
        Rows of a group, groups of each task, and all groups.
    """
    parts = tf.minimum(total, sizes.shape[0])
    size = _mean_size(total, parts)
    # Each task leaves less than a group empty.
    return size, -(-sizes // size), (total + parts * (size - 1)) // size


def _divided_by_tasks(sizes: Tensor, total: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Divides tasks into as few groups as pay; see `_divided_by_rows`."""
    parts = tf.math.count_nonzero(sizes, dtype=tf.int32)
    size = _mean_size(total, parts)
    most = tf.maximum(tf.reduce_max(sizes), 1)
    size = tf.where(most <= _WIDE * size, most, size)
    counts = -(-sizes // size)
    # An empty group costs less than a copy of all other weights.
    is_most = 4 * parts >= 3 * sizes.shape[0]
    counts = tf.where(is_most, tf.maximum(counts, 1), counts)
    return size, counts, tf.reduce_sum(counts)


def _mean_size(total: Tensor, parts: Tensor) -> Tensor:
    return tf.maximum(-(-total // tf.maximum(parts, 1)), 1)


def _places(tasks: Tensor, sizes: Tensor, counts: Tensor, size: Tensor) -> Tensor:
    """The places of rows that are in the order of their tasks.

    Args:
        tasks: The task of each row, increasing.
        sizes: Rows of each task.
        counts: Groups of each task.
        size: Rows of a group.
    """
    first_row = tf.gather(tf.cumsum(sizes, exclusive=True), tasks)
    first_group = tf.gather(tf.cumsum(counts, exclusive=True), tasks)
    rank = tf.range(tf.size(tasks)) - first_row
    return (first_group + rank // size) * size + rank % size
