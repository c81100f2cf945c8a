"""Soft masks of tasks over shared features."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import ops

from kmtl._checks import check_unique
from kmtl._typing import Config, Shape, Tensor
from kmtl.layers._weights_view import SharingWeights


@keras.saving.register_keras_serializable(package="kmtl")
class AttentionMask(keras.layers.Layer, SharingWeights):
    """Turns scores into masks from 0 to 1, which can be looked at.

    Args:
        tasks: Names of the tasks.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., tasks, features)`.

    Returns:
        Tensor of the same shape.

    Example:
        >>> import kmtl, numpy as np
        >>> layer = kmtl.layers.AttentionMask(tasks=["age", "income"])
        >>> float(layer(np.zeros((3, 2, 8)))[0, 0, 0])
        0.5
    """

    def __init__(self, *, tasks: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_unique(list(tasks), "tasks")
        self.tasks = tuple(tasks)

    def call(self, inputs: Tensor) -> Tensor:
        return ops.sigmoid(inputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def sharing_frame(self, values: np.ndarray | None) -> pd.DataFrame:
        """Returns the mean mask: a row for each task, a column for each feature."""
        masks = np.asarray(values)
        positions = tuple(range(masks.ndim - 2))
        return pd.DataFrame(masks.mean(axis=positions), index=list(self.tasks))

    def get_config(self) -> Config:
        return {**super().get_config(), "tasks": list(self.tasks)}
