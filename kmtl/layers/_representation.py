"""The mark between the encoder and the heads."""

from collections.abc import Sequence
from typing import Any

import keras

from kmtl._typing import Config, Shape, Tensor


@keras.saving.register_keras_serializable(package="kmtl")
class Representation(keras.layers.Layer):
    """Passes its input on and marks where the encoder ends and the heads begin.

    Args:
        tasks: Names of the slices on the last axis but one, where the representation
            is per task; `None` where all tasks share it.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of any shape.

    Returns:
        The same tensor.

    Example:
        >>> import kmtl, numpy as np
        >>> tuple(kmtl.layers.Representation()(np.zeros((2, 8))).shape)
        (2, 8)
    """

    def __init__(self, tasks: Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tasks = None if tasks is None else tuple(tasks)

    def call(self, inputs: Tensor) -> Tensor:
        return inputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> Config:
        return {**super().get_config(), "tasks": self.tasks and list(self.tasks)}
