"""Softmax, also over one value."""

from keras import ops

from kmtl._typing import Tensor


def softmax(logits: Tensor) -> Tensor:
    """Weights over the last axis that sum to 1.

    Over one value Keras' own warns that this may be a mistake; over one expert it is
    none. The gradient is 0 then, but there.
    """
    if logits.shape[-1] == 1:
        return 0.0 * logits + 1.0
    return ops.softmax(logits, axis=-1)
