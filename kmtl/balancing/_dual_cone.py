"""Directions that conflict with no task."""

from keras import ops

from kmtl._typing import Tensor
from kmtl.balancing._limits import TINY

# `norm_eps` and `reg_eps` of TorchJD are both 1e-4.
_RIDGE = 1e-4
# Far below what the ridge does.
TOLERANCE = 1e-6


def ridged(gramian: Tensor) -> tuple[Tensor, Tensor]:
    """Makes a Gramian positive definite, and its diagonal 1.

    Args:
        gramian: `(tasks, tasks)`, float64.

    Returns:
        The matrix `C` with `G / trace(G) + 1e-4 I = diag(l) C diag(l)`, and `l`.
    """
    trace = ops.maximum(ops.trace(gramian), TINY)
    matrix = gramian / trace + _RIDGE * ops.eye(gramian.shape[0], dtype=gramian.dtype)
    lengths = ops.sqrt(ops.diagonal(matrix))
    return matrix / (lengths[:, None] * lengths[None, :]), lengths
