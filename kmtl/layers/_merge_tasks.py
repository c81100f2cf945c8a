"""Between an axis of tasks and an axis of features, and features alone."""

from typing import Any

import keras
from keras import ops

from kmtl._checks import check_positive_integer
from kmtl._typing import Config, Shape, Tensor


@keras.saving.register_keras_serializable(package="kmtl")
class MergeTasks(keras.layers.Layer):
    """Joins the task axis with the features: what works on channels works on stacks.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., tasks, features)`.

    Returns:
        Tensor of shape `(batch, ..., tasks * features)`.

    Example:
        >>> import kmtl, numpy as np
        >>> tuple(kmtl.layers.MergeTasks()(np.zeros((2, 3, 4))).shape)
        (2, 12)
    """

    def call(self, inputs: Tensor) -> Tensor:
        size = ops.shape(inputs)[1:-2]
        return ops.reshape(inputs, (-1, *size, inputs.shape[-2] * inputs.shape[-1]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        *rest, tasks, features = input_shape
        return (*rest, tasks * features)  # type: ignore[operator]


@keras.saving.register_keras_serializable(package="kmtl")
class SplitTasks(keras.layers.Layer):
    """The inverse of `MergeTasks`.

    Args:
        features: The number of features of each task, so that the layer fits any
            number of tasks.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., tasks * features)`.

    Returns:
        Tensor of shape `(batch, ..., tasks, features)`.

    Example:
        >>> import kmtl, numpy as np
        >>> tuple(kmtl.layers.SplitTasks(4)(np.zeros((2, 12))).shape)
        (2, 3, 4)
    """

    def __init__(self, features: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_positive_integer(features, "features")
        self.features = features

    def call(self, inputs: Tensor) -> Tensor:
        size = ops.shape(inputs)[1:-1]
        tasks = inputs.shape[-1] // self.features
        return ops.reshape(inputs, (-1, *size, tasks, self.features))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        *rest, merged = input_shape
        return (*rest, merged // self.features, self.features)  # type: ignore[operator]

    def get_config(self) -> Config:
        return {**super().get_config(), "features": self.features}
