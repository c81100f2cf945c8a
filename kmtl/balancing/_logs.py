"""Logarithms of losses that may have none, and weights made from logarithms.

Masks are 1 where a task takes part and 0 where it does not, `(tasks,)`, like
`Step.present`.
"""

import math

from keras import ops

from kmtl._typing import Tensor
from kmtl.balancing._limits import LARGEST


def has_log(values: Tensor, mask: Tensor) -> Tensor:
    """Narrows a mask to where a value is from 1e-30 to 1e30.

    Others, such as a loss of 0, a negative one or one that is not finite, have no
    logarithm that weights could be computed from.
    """
    inside = ops.logical_and(values >= 1 / LARGEST, values <= LARGEST)
    return mask * ops.cast(inside, mask.dtype)


def log_where(mask: Tensor, values: Tensor) -> Tensor:
    """Returns logarithms where the mask is 1, else 0."""
    return ops.log(ops.where(mask > 0, values, ops.ones_like(values)))


def bounded_exp(logs: Tensor) -> Tensor:
    """Returns powers of e from 1e-30 to 1e30."""
    bound = math.log(LARGEST)
    return ops.exp(ops.clip(logs, -bound, bound))


def softmax_where(mask: Tensor, logits: Tensor) -> Tensor:
    """Returns the softmax over the tasks of a mask; the others get 0."""
    logits = ops.where(mask > 0, logits, ops.full_like(logits, -LARGEST))
    powers = mask * ops.exp(logits - ops.max(logits))
    return powers / ops.maximum(ops.sum(powers), 1)  # the largest power is 1


def ones_beside(mask: Tensor, weights: Tensor) -> Tensor:
    """Returns the weights where the mask is 1, else 1."""
    return ops.where(mask > 0, weights, ops.ones_like(weights))
