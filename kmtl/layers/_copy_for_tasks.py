"""One copy of a tensor a task."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kmtl._typing import Config, Shape, Tensor


@keras.saving.register_keras_serializable(package="kmtl")
class CopyForTasks(keras.layers.Layer):
    """Repeats what tasks share along a new task axis, the last but one.

    Args:
        tasks: Names of the slices.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., features)`.

    Returns:
        Tensor of shape `(batch, ..., tasks, features)`.

    Example:
        >>> import kmtl, numpy as np
        >>> tuple(kmtl.layers.CopyForTasks(tasks=["a", "b"])(np.zeros((3, 8))).shape)
        (3, 2, 8)
    """

    def __init__(self, *, tasks: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tasks = tuple(tasks)

    def call(self, inputs: Tensor) -> Tensor:
        return ops.repeat(ops.expand_dims(inputs, -2), len(self.tasks), axis=-2)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        *size, features = input_shape
        return (*size, len(self.tasks), features)

    def get_config(self) -> Config:
        return {**super().get_config(), "tasks": list(self.tasks)}
