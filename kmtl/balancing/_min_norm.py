"""The shortest combination of gradients."""

from keras import ops

from kmtl._typing import Tensor
from kmtl.balancing._limits import TINY
from kmtl.balancing._nonnegative import minimize_nonnegative

TOLERANCE = 1e-6
# Above the rounding of a Gramian in float32, and far below the noise of a batch.
_RIDGE = 1e-5
# The shortest gradient that counts as one, relative to the longest.
_LEAST_LENGTH = 1e-10


def cosines(gramian: Tensor) -> tuple[Tensor, Tensor]:
    """Takes the lengths of the gradients out of a Gramian.

    Args:
        gramian: `(tasks, tasks)`, float64.

    Returns:
        The cosines between the gradients, with 1e-5 added to the diagonal, so that no
        combination of gradients has length 0; and the lengths relative to the longest,
        at least 1e-10.
    """
    squares = ops.diagonal(gramian)
    longest = ops.maximum(ops.max(squares), TINY)
    lengths = ops.sqrt(ops.maximum(squares / longest, _LEAST_LENGTH**2))
    matrix = gramian / longest / (lengths[:, None] * lengths[None, :])
    return matrix + _RIDGE * ops.eye(gramian.shape[0], dtype=gramian.dtype), lengths


def shortest(matrix: Tensor, share: Tensor) -> Tensor:
    """Minimises `x'Ax` over `x >= 0` with `share'x = 1`, up to a factor.

    `x'Ax + (share'x - 1)^2` has its minimum over `x >= 0` at a multiple of the
    solution, and no other constraint.

    Args:
        matrix: `A`, `(tasks, tasks)`, as `cosines` returns it.
        share: `(tasks,)`, of length 1. What has a share of 0 gets 0.
    """
    joint = matrix + share[:, None] * share[None, :]
    linear = -share[:, None]
    return minimize_nonnegative(joint, linear, TOLERANCE * ops.max(share))[:, 0]


def unit(x: Tensor) -> Tensor:
    """Divides a vector by its length, if it has one."""
    return x / ops.sqrt(ops.maximum(ops.sum(x * x), TINY))
