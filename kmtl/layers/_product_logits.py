"""The logit of a product of probabilities."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kmtl._typing import Shape, Tensor
from kmtl.layers._wide import wide_dtype


@keras.saving.register_keras_serializable(package="kmtl")
class ProductLogits(keras.layers.Layer):
    """Maps the logits of some events to the logit that all of them happen.

    `sigmoid(outputs)` is the product of the `sigmoid(inputs)`: each input is the logit
    of an event given the ones before it. The odds against all are
    `(1 + odds against one) (1 + odds against the other) - 1`; their logarithm is
    computed in float32 at least, so value and gradient are right at saturated logits.

    Call arguments:
        inputs: A list of tensors of one shape.

    Returns:
        A tensor of that shape.

    Example:
        >>> import keras, kmtl, numpy as np
        >>> even = np.zeros((1, 1))  # a probability of 1/2, and of 1/4 for both
        >>> keras.ops.sigmoid(kmtl.layers.ProductLogits()([even, even])).numpy()
        array([[0.25]], dtype=float32)
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dtype": wide_dtype(), **kwargs})

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        against, *others = [-logits for logits in inputs]  # log-odds against
        for other in others:
            # log((1 + e^against) (1 + e^other) - 1). Not by `logaddexp`, whose gradient
            # is one-sided where both terms are equal.
            rest = ops.softplus(-ops.softplus(-other) - against)
            against = against + ops.softplus(other) + rest
        return -against

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        return tuple(input_shape[0])
