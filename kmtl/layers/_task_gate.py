"""The gates of a mixture of experts."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import ops

from kmtl._checks import check_unique
from kmtl._typing import Config, Shape, Tensor
from kmtl.layers._per_task import PerTask
from kmtl.layers._softmax import softmax
from kmtl.layers._stacked import SlicewiseLayer, owner_of
from kmtl.layers._weights_view import SharingWeights, named_frame


@keras.saving.register_keras_serializable(package="kmtl")
class TaskGate(SlicewiseLayer, SharingWeights):
    """A softmax gate for each task: how much it takes of each expert.

    Task `t` weighs the experts by `softmax(x_t @ kernel_t)`. Gates start different:
    each slice of the kernel is drawn as that of a dense layer, from its task's name.
    Slice `t` belongs to the task that receives.

    Args:
        experts: Names of the experts. Initial values follow the names, so that the
            order of the experts does not matter.
        tasks: Names of the tasks, one a gate.
        **kwargs: `seed`, see `StackedLayer`; the rest is passed to
            `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, features)`, which all gates see, or
            `(batch, ..., tasks, features)`, averaged over the axes in between.

    Returns:
        Tensor of shape `(batch, tasks, experts)`; the weights of a task sum to 1.

    Example:
        >>> import kmtl, numpy as np
        >>> gate = kmtl.layers.TaskGate(["/0", "/1", "/2"], tasks=["age", "income"])
        >>> tuple(gate(np.zeros((4, 8))).shape)
        (4, 2, 3)

    Reference:
        Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate
        Mixture-of-Experts", KDD 2018, section 4.2: a linear map without bias.
    """

    def __init__(
        self, experts: Sequence[str], *, tasks: Sequence[str], **kwargs: Any
    ) -> None:
        super().__init__(tasks=tasks, **kwargs)
        check_unique(list(experts), "experts")
        self.experts = tuple(experts)

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) > 2:
            self.check_slices(input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(len(self.tasks), input_shape[-1], len(self.experts)),
            initializer=self._initial,
        )

    def _initial(self, shape: Shape, dtype: Any) -> Tensor:
        draw = PerTask("glorot_uniform", tasks=self.tasks, seed=self.seed)
        place_by_name = np.argsort(np.argsort(self.experts))
        return ops.take(draw(shape, dtype), place_by_name, axis=-1)

    def apply_slices(self, inputs: Tensor, weights: Sequence[Any]) -> Tensor:
        kernel = ops.cast(weights[0], self.compute_dtype)
        inputs = ops.cast(inputs, self.compute_dtype)  # integers are numbers too
        tasks, features, experts = kernel.shape
        if len(inputs.shape) == 2:
            wide = ops.reshape(ops.transpose(kernel, (1, 0, 2)), (features, -1))
            logits = ops.reshape(ops.matmul(inputs, wide), (-1, tasks, experts))
        else:
            logits = ops.einsum("btf,tfe->bte", mean_over_positions(inputs), kernel)
        # In full precision: half loses the experts with small weights.
        weights = softmax(ops.cast(logits, self.variable_dtype))
        return ops.cast(weights, self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], len(self.tasks), len(self.experts))

    @property
    def has_room(self) -> bool:
        """Whether the experts are nobody's, so that a new task brings none."""
        owners = {owner_of(name) for name in self.experts}
        return not {owner_of(name) for name in self.tasks} <= owners

    def is_read(self, task: str) -> bool:
        """Whether other tasks take of experts of this one."""
        del task
        return not self.has_room

    def sharing_frame(self, values: np.ndarray | None) -> pd.DataFrame:
        return named_frame(values, self.tasks, self.experts)

    def get_config(self) -> Config:
        return {**super().get_config(), "experts": list(self.experts)}


def mean_over_positions(x: Tensor) -> Tensor:
    """Averages `(batch, ..., tasks, features)` to `(batch, tasks, features)`."""
    positions = tuple(range(1, len(x.shape) - 2))
    return ops.mean(x, axis=positions) if positions else x
