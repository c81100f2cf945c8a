"""Distance to the mean of the tasks."""

import keras
from keras import ops

from kmtl._typing import Tensor
from kmtl.regularizers._base import ProximalRegularizer
from kmtl.regularizers._weights import as_stack


@keras.saving.register_keras_serializable(package="kmtl")
class MeanL2(ProximalRegularizer):
    """Squared distance of each task's weights to the mean over tasks, summed.

    `sum_t ||w_t - mean||^2`. With strength 0 the tasks are independent, with a large
    one they are equal. The sum over pairs, `sum_{s<t} ||w_s - w_t||^2`, is `tasks`
    times as much.

    Args:
        strength: Factor of the penalty, at least 0.

    Example:
        >>> import kmtl, numpy as np
        >>> float(kmtl.regularizers.MeanL2(0.1).penalty(np.array([[1.0], [3.0]])))
        2.0

    Reference:
        Evgeniou and Pontil, "Regularized Multi-Task Learning", KDD 2004,
        https://doi.org/10.1145/1014052.1014067, where each task is a common part and
        one of its own, both with a ridge penalty. With the common part at its best that
        is this penalty and a ridge: add `keras.regularizers.L2` for the ridge.
    """

    def penalty(self, weights: Tensor) -> Tensor:
        stack = as_stack(weights)
        return ops.sum(ops.square(stack - ops.mean(stack, axis=0, keepdims=True)))

    def proximal(self, weights: Tensor, step: Tensor) -> Tensor:
        stack = as_stack(weights)
        mean = ops.mean(stack, axis=0, keepdims=True)
        return mean + (stack - mean) / (1.0 + 2.0 * ops.cast(step, stack.dtype))
