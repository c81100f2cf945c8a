"""Linear mixing of the outputs of the stages of a network, for each task."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import ops

from kmtl._typing import Shape, Tensor
from kmtl.layers._stacked import StackedLayer
from kmtl.layers._weights_view import SharingWeights


@keras.saving.register_keras_serializable(package="kmtl")
class MixStages(StackedLayer, SharingWeights):
    """Gives each task a trained linear mix of the outputs of several stages.

    Task `t` gets `sum_k B[t,k] x_k[t]`; all stages start with the same weight, and the
    weights of a task with sum 1.

    Args:
        tasks: Names of the tasks.
        **kwargs: `seed`, which decides nothing here, and what
            `keras.layers.Layer` takes.

    Call arguments:
        inputs: List of tensors of shape `(batch, tasks, features)`, one a stage.

    Returns:
        Tensor of shape `(batch, tasks, features)`.

    Example:
        >>> import kmtl, numpy as np
        >>> layer = kmtl.layers.MixStages(tasks=["age", "income"])
        >>> stages = [np.zeros((3, 2, 4)), np.ones((3, 2, 4))]
        >>> float(layer(stages)[0, 0, 0])
        0.5
        >>> layer.sharing_frame(None)
                stage_0  stage_1
        age         0.5      0.5
        income      0.5      0.5
    """

    depends_on_inputs = False

    def __init__(self, *, tasks: Sequence[str], **kwargs: Any) -> None:
        super().__init__(tasks=tasks, **{"seed": 0, **kwargs})

    def build(self, input_shape: list[Shape]) -> None:
        for shape in input_shape:
            self.check_slices(shape)
        if len({tuple(shape) for shape in input_shape}) > 1:
            raise ValueError(
                f"`{self.name}` expects stages of equal shape. "
                f"Received: {[tuple(shape) for shape in input_shape]}."
            )
        count = len(input_shape)
        self.mix = self.add_stack(
            "mix", (count,), keras.initializers.Constant(1.0 / count)
        )

    def call(self, inputs: list[Tensor]) -> Tensor:
        mix = ops.cast(self.mix, self.compute_dtype)[:, None]  # (t, 1, k)
        return sum(mix[..., k] * x for k, x in enumerate(inputs))

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        return input_shape[0]

    def sharing_frame(self, values: np.ndarray | None) -> pd.DataFrame:
        """Returns the mix: a row for each task, a column for each stage."""
        del values
        columns = [f"stage_{k}" for k in range(self.mix.shape[1])]
        mix = ops.convert_to_numpy(self.mix)
        return pd.DataFrame(mix, index=list(self.tasks), columns=columns)
