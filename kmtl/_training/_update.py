"""The optimizer's step, in one pass over the weights where that matters."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from kmtl._typing import Tensor

# From so many weights on, to compile the update costs less than some hundred steps.
_MANY = 1_000_000

# Those of Keras that update each element by itself, and do so under XLA.
_ELEMENT_WISE = (
    keras.optimizers.SGD,
    keras.optimizers.Adam,
    keras.optimizers.AdamW,
    keras.optimizers.Nadam,
    keras.optimizers.RMSprop,
    keras.optimizers.Lion,
    keras.optimizers.Adagrad,
    keras.optimizers.Adadelta,
    keras.optimizers.Adamax,
    keras.optimizers.Ftrl,
)


def update(
    optimizer: Any, gradients: Sequence[Tensor], variables: Sequence[Any]
) -> None:
    """Applies gradients to variables.

    With few rows for many weights, as those of towers of which each row needs one, this
    is most of a step. TensorFlow passes over all weights once for each of the dozen
    operations of Adam; fused by XLA, it does so once.

    Args:
        optimizer: A Keras optimizer.
        gradients: One a variable.
        variables: What is trained.
    """
    if not _is_fused(optimizer, gradients, variables):
        optimizer.apply(gradients, variables)
        return

    @tf.function(jit_compile=True, autograph=False)
    def fused(gradients: list[Tensor]) -> None:
        optimizer.apply(gradients, variables)

    fused(list(gradients))


def _is_fused(
    optimizer: Any, gradients: Sequence[Tensor], variables: Sequence[Any]
) -> bool:
    return (
        sum(math.prod(variable.shape) for variable in variables) >= _MANY
        and type(optimizer) in _ELEMENT_WISE
        and optimizer.built  # variables cannot be made there
        and all(isinstance(gradient, tf.Tensor) for gradient in gradients)
        and not tf.executing_eagerly()
        and not tf.distribute.has_strategy()
    )
