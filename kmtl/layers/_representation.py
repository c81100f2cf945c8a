"""The mark between the encoder and the heads."""

import keras

from kmtl._typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="kmtl")
class Representation(keras.layers.Layer):
    """Passes its input on and marks where the encoder ends and the heads begin.

    Call arguments:
        inputs: Tensor of any shape.

    Returns:
        The same tensor.

    Example:
        >>> import kmtl, numpy as np
        >>> tuple(kmtl.layers.Representation()(np.zeros((2, 8))).shape)
        (2, 8)
    """

    def call(self, inputs: Tensor) -> Tensor:
        return inputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape
