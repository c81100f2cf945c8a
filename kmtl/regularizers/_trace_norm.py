"""Few directions for many tasks."""

import keras
from keras import ops

from kmtl._typing import Tensor
from kmtl.regularizers._base import ProximalRegularizer
from kmtl.regularizers._spectrum import polar_factor, shrink
from kmtl.regularizers._weights import as_matrix, from_subgradient


@keras.saving.register_keras_serializable(package="kmtl")
class TraceNorm(ProximalRegularizer):
    """Sum of the singular values of the weights as a matrix `(tasks, rest)`.

    A large strength leaves few singular values: the weights of all tasks are
    combinations of few directions. The rank becomes low exactly only with the proximal
    step, which subtracts `step` from each singular value and stops at zero.

    The gradient is the least subgradient, `U V'` over the singular values that are not
    zero: finite for equal tasks, repeated singular values and zero weights. It takes an
    eigendecomposition of the smaller side: 10 ms on two cores for 139 tasks with 1,792
    weights each, 50 ms compiled by XLA, which `compile(jit_compile=False)` avoids.

    Args:
        strength: Factor of the penalty, at least 0.

    Example:
        >>> import kmtl, numpy as np
        >>> norm = kmtl.regularizers.TraceNorm(0.1)
        >>> round(float(norm.penalty(np.diag([3.0, 1.0]))), 6)
        4.0
        >>> np.round(norm.proximal(np.diag([3.0, 1.0]), 1.5), 6).tolist()
        [[1.5, 0.0], [0.0, 0.0]]

    Reference:
        Ji and Ye, "An Accelerated Gradient Method for Trace Norm Minimization", ICML
        2009, https://doi.org/10.1145/1553374.1553434. Argyriou et al., "Convex
        Multi-Task Feature Learning", Machine Learning 73, 2008,
        https://doi.org/10.1007/s10994-007-5040-8, penalise its square:
        `TaskCovariance`.
    """

    def penalty(self, weights: Tensor) -> Tensor:
        return trace_norm(as_matrix(weights))

    def proximal(self, weights: Tensor, step: Tensor) -> Tensor:
        matrix = as_matrix(weights)
        return ops.reshape(shrink(matrix, step), weights.shape)


def trace_norm(matrix: Tensor) -> Tensor:
    """Returns the sum of the singular values of a matrix."""
    return from_subgradient(matrix, polar_factor(matrix))
