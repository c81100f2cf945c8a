"""Random numbers that belong to tasks, not to their places."""

from keras import ops

from kmtl._typing import Tensor
from kmtl.balancing._base import Step


def draw_by_task(step: Step, seed: int) -> Tensor:
    """Draws a number from 0 to 1 for each task, `(tasks,)`.

    A task's number depends on the seed, the step and the task's name alone. So the
    order of the tasks does not matter, nor which others there are, and a run that goes
    on from a file draws what it would have drawn.
    """
    return _to_unit(_mixed(_by_step(step, seed) ^ _unsigned(step.keys)), step)


def draw_by_pair(step: Step, seed: int) -> Tensor:
    """Draws a number from 0 to 1 for each ordered pair of tasks, `(tasks, tasks)`."""
    keys = _unsigned(step.keys)
    rows = _mixed(_by_step(step, seed) ^ keys)
    return _to_unit(_mixed(rows[:, None] ^ _mixed(keys)[None, :]), step)


def _by_step(step: Step, seed: int) -> Tensor:
    # An odd constant keeps the seed and step 0 from mixing to 0, which mixes no keys.
    return _mixed(_unsigned(step.number) + _mixed(_unsigned(seed + 0x9E3779B9)))


def _unsigned(values: Tensor) -> Tensor:
    return ops.cast(ops.bitwise_and(ops.cast(values, "int64"), 0xFFFFFFFF), "uint32")


def _mixed(x: Tensor) -> Tensor:
    """A bijection of 32-bit integers after which no bit looks like one before."""
    # The constants are `lowbias32` of Chris Wellons, "Prospecting for Hash Functions",
    # https://nullprogram.com/blog/2018/07/31/.
    x = (x ^ ops.right_shift(x, 16)) * _constant(0x7FEB352D)
    x = (x ^ ops.right_shift(x, 15)) * _constant(0x846CA68B)
    return x ^ ops.right_shift(x, 16)


def _constant(value: int) -> Tensor:
    return ops.convert_to_tensor(value, dtype="uint32")


def _to_unit(x: Tensor, step: Step) -> Tensor:
    # The middles of 2^23 intervals: a float32 holds them exactly, so never 0 nor 1.
    bits = ops.cast(ops.right_shift(x, 9), step.losses.dtype)
    return (bits + 0.5) / 2.0**23
