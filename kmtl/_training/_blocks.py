"""The Gramian of gradients that are too many to be held at once."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from kmtl._typing import Tensor
from kmtl.layers._wide import wide_dtype

# How many numbers the gradients of a block of tasks may be: 1 GiB in float32.
MOST = 2**28


def block_size(tasks: int, weights: int) -> int:
    """How many tasks' gradients by so many weights are held at once.

    All, if there is room; else as many as two blocks, of about equal sizes, leave.
    """
    if tasks * weights <= MOST:
        return tasks
    most = max(MOST // (2 * weights), 1)
    blocks = -(-tasks // most)
    return -(-tasks // blocks)


def gramian_in_blocks(
    gradients: Callable[[Any], Sequence[Tensor]], cotangents: Any, size: int
) -> Tensor:
    """Computes inner products with the gradients of two blocks of tasks at a time.

    For each block those of all blocks before are computed again, which takes `(blocks +
    1) / 2` times as long as all at once.

    Args:
        gradients: From the cotangents of a block to the gradients, `(size, ...)`.
        cotangents: A tensor or a list of them, `(tasks, ...)`.
        size: Tasks in a block.

    Returns:
        The inner products, `(tasks, tasks)`.
    """
    tasks = keras.tree.flatten(cotangents)[0].shape[0]
    count = -(-tasks // size)
    blocks = keras.tree.map_structure(
        lambda tensor: _in_blocks(tensor, count, size), cotangents
    )

    def rows(number: Tensor) -> list[Tensor]:
        block = keras.tree.map_structure(lambda b: tf.gather(b, number), blocks)
        return [tf.reshape(gradient, (size, -1)) for gradient in gradients(block)]

    def with_earlier(i: Tensor, found: Tensor) -> tuple[Tensor, Tensor]:
        ours = rows(i)

        def with_one(j: Tensor, found: Tensor) -> tuple[Tensor, Tensor]:
            return j + 1, _put(found, i, j, _product(ours, rows(j)))

        found = _put(found, i, i, _product(ours, ours) / 2)
        return i + 1, _loop(with_one, i, found)

    none = tf.zeros((count, count, size, size), wide_dtype())
    found = _loop(with_earlier, tf.constant(count), none)
    lower = tf.reshape(tf.transpose(found, (0, 2, 1, 3)), (count * size, -1))
    return (lower + tf.transpose(lower))[:tasks, :tasks]


def _in_blocks(tensor: Tensor, count: int, size: int) -> Tensor:
    """From `(tasks, ...)` to `(count, size, ...)`, with 0 for tasks there are not."""
    more = count * size - tensor.shape[0]
    padded = tf.pad(tensor, [(0, more)] + [(0, 0)] * (len(tensor.shape) - 1))
    return tf.reshape(padded, (count, size, *tf.unstack(tf.shape(tensor)[1:])))


def _loop(body: Any, end: Tensor, found: Tensor) -> Tensor:
    return tf.while_loop(
        lambda number, _: number < end,
        body,
        (tf.constant(0), found),
        parallel_iterations=1,  # or several blocks would be held
    )[1]


def _product(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
    pairs = zip(ours, theirs, strict=True)
    return tf.add_n([tf.matmul(a, b, transpose_b=True) for a, b in pairs])


def _put(found: Tensor, i: Tensor, j: Tensor, block: Tensor) -> Tensor:
    return tf.tensor_scatter_nd_update(found, [[i, j]], block[None])
