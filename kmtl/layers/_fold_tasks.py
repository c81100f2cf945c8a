"""Between an axis of tasks and the axis of rows."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kmtl._typing import Config, Shape, Tensor


@keras.saving.register_keras_serializable(package="kmtl")
class FoldTasks(keras.layers.Layer):
    """Turns each task of each row into a row of its own.

    What follows runs on all tasks with the same weights; batch normalisation then takes
    its statistics over the tasks too.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., tasks, features)`.

    Returns:
        Tensor of shape `(batch * tasks, ..., features)`, the tasks of a row together.

    Example:
        >>> import kmtl, numpy as np
        >>> tuple(kmtl.layers.FoldTasks()(np.zeros((2, 3, 4))).shape)
        (6, 4)
    """

    def call(self, inputs: Tensor) -> Tensor:
        tasks_first = ops.moveaxis(inputs, -2, 1)  # (b, t, ..., f)
        return ops.reshape(tasks_first, (-1, *ops.shape(tasks_first)[2:]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, *size, tasks, features = input_shape
        rows = None if batch is None or tasks is None else batch * tasks
        return (rows, *size, features)


@keras.saving.register_keras_serializable(package="kmtl")
class UnfoldTasks(keras.layers.Layer):
    """The inverse of `FoldTasks`.

    Args:
        tasks: Names of the tasks.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch * tasks, ..., features)`.

    Returns:
        Tensor of shape `(batch, ..., tasks, features)`.

    Example:
        >>> import kmtl, numpy as np
        >>> tuple(kmtl.layers.UnfoldTasks(tasks=["a", "b"])(np.zeros((6, 4))).shape)
        (3, 2, 4)
    """

    def __init__(self, *, tasks: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tasks = tuple(tasks)

    def call(self, inputs: Tensor) -> Tensor:
        unfolded = ops.reshape(inputs, (-1, len(self.tasks), *ops.shape(inputs)[1:]))
        return ops.moveaxis(unfolded, 1, -2)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        rows, *size, features = input_shape
        batch = None if rows is None else rows // len(self.tasks)
        return (batch, *size, len(self.tasks), features)

    def get_config(self) -> Config:
        return {**super().get_config(), "tasks": list(self.tasks)}
