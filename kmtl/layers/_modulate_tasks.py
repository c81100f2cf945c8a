"""A scale and a shift of each task's own."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import ops

from kmtl._typing import Shape, Tensor
from kmtl.layers._stacked import SlicewiseLayer
from kmtl.layers._weights_view import SharingWeights


@keras.saving.register_keras_serializable(package="kmtl")
class ModulateTasks(SlicewiseLayer, SharingWeights):
    """Scales and shifts each feature, for each task in its own way.

    Task `t` gets `gamma[t] * x + beta[t]`, which starts as `x`.

    Args:
        tasks: Names of the tasks.
        **kwargs: `seed`, which decides nothing here, and what
            `keras.layers.Layer` takes.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., tasks, features)`, or
            `(batch, ..., 1, features)` for features that all tasks share.

    Returns:
        Tensor of shape `(batch, ..., tasks, features)`.

    Raises:
        ValueError: If the input has neither one slice nor one a task.

    Example:
        >>> import kmtl, numpy as np
        >>> layer = kmtl.layers.ModulateTasks(tasks=["age", "income"])
        >>> tuple(layer(np.ones((3, 1, 8))).shape)
        (3, 2, 8)
    """

    depends_on_inputs = False

    def __init__(self, *, tasks: Sequence[str], **kwargs: Any) -> None:
        super().__init__(tasks=tasks, **{"seed": 0, **kwargs})

    def build(self, input_shape: Shape) -> None:
        if input_shape[-2] != 1:
            self.check_slices(input_shape)
        self.gamma = self.add_stack("gamma", (input_shape[-1],), "ones")
        self.beta = self.add_stack("beta", (input_shape[-1],), "zeros")

    def apply_slices(self, inputs: Tensor, weights: Sequence[Any]) -> Tensor:
        gamma, beta = (ops.cast(weight, self.compute_dtype) for weight in weights)
        return inputs * gamma + beta

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-2], len(self.tasks), input_shape[-1])

    def sharing_frame(self, values: np.ndarray | None) -> pd.DataFrame:
        """Returns a row for each task; columns `("gamma" or "beta", feature)`."""
        del values
        weights = {"gamma": self.gamma, "beta": self.beta}
        frames = {k: pd.DataFrame(ops.convert_to_numpy(w)) for k, w in weights.items()}
        return pd.concat(frames, axis=1).set_axis(list(self.tasks))
