"""The mark on a tensor that several tasks share."""

import keras
from keras import ops

from kmtl._typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="kmtl")
class SharedTensor(keras.layers.Layer):
    """Passes its input on and marks it as one of the last tensors that tasks share.

    A sharing declares with it where the gradients of its tasks meet: the output of a
    shared trunk, the outputs of experts. `MTLModel.shared_tensors` lists them.

    Call arguments:
        inputs: Tensor of any shape.

    Returns:
        The same tensor.

    Example:
        >>> import kmtl, numpy as np
        >>> tuple(kmtl.layers.SharedTensor()(np.zeros((2, 8))).shape)
        (2, 8)
    """

    def call(self, inputs: Tensor) -> Tensor:
        # Another tensor: gradients with respect to it are of what comes after it, and
        # of no other way on which the input goes.
        return ops.reshape(inputs, ops.shape(inputs))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape
