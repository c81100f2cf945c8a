"""The gate of what all tasks share, over all experts."""

import keras
import numpy as np
import pandas as pd
from keras import ops

from kmtl._typing import Shape, Tensor
from kmtl.layers._softmax import softmax
from kmtl.layers._stacked import StackedLayer
from kmtl.layers._task_gate import mean_over_positions
from kmtl.layers._weights_view import SharingWeights, named_frame


@keras.saving.register_keras_serializable(package="kmtl")
class SharedGate(StackedLayer, SharingWeights):
    """One softmax gate over the experts of all tasks and the shared ones.

    It makes the shared stream between two levels of progressive layered extraction.
    Slice `e` of the kernel belongs to expert `e`, so that a task that comes or goes
    takes its slices along.

    Args:
        tasks: Names of the experts.
        **kwargs: `seed`, see `StackedLayer`; the rest is passed to
            `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, features)`, or `(batch, ..., 1, features)`,
            averaged over the axes in between.

    Returns:
        Tensor of shape `(batch, 1, experts)`, whose weights sum to 1.

    Example:
        >>> import kmtl, numpy as np
        >>> gate = kmtl.layers.SharedGate(tasks=["age/0", "income/0", "/0"])
        >>> tuple(gate(np.zeros((4, 8))).shape)
        (4, 1, 3)

    Reference:
        Tang et al., "Progressive Layered Extraction (PLE)", RecSys 2020, section 4.2.
    """

    def build(self, input_shape: Shape) -> None:
        self.kernel = self.add_stack("kernel", (input_shape[-1], 1), "glorot_uniform")

    def call(self, inputs: Tensor) -> Tensor:
        inputs = ops.cast(inputs, self.compute_dtype)  # integers are numbers too
        if len(inputs.shape) > 2:
            inputs = mean_over_positions(inputs)[:, 0]
        kernel = ops.cast(self.kernel[..., 0], self.compute_dtype)  # (e, f)
        logits = ops.matmul(inputs, ops.transpose(kernel))
        weights = softmax(ops.cast(logits[:, None], self.variable_dtype))
        return ops.cast(weights, self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], 1, len(self.tasks))

    @property
    def has_room(self) -> bool:
        """Never: the weights of all experts sum to 1."""
        return False

    def is_read(self, task: str) -> bool:
        """Always: the weights of all experts sum to 1."""
        del task
        return True

    def sharing_frame(self, values: np.ndarray | None) -> pd.DataFrame:
        return named_frame(values, ["shared"], self.tasks)
