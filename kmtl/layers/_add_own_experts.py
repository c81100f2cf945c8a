"""The residual connection of AdaTT."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import pandas as pd
from keras import ops

from kmtl._typing import Config, Shape, Tensor
from kmtl.layers._per_task import PerTask
from kmtl.layers._stacked import StackedLayer, owner_of
from kmtl.layers._weights_view import SharingWeights, named_frame


@keras.saving.register_keras_serializable(package="kmtl")
class AddOwnExperts(StackedLayer, SharingWeights):
    """Adds a weight of its own experts to the gates of each task.

    It is the residual connection of AdaTT: with gates of 0 the tasks are independent.

    Args:
        receivers: Names of the slices of the gates: the tasks, and `"/0"` for what is
            shared.
        tasks: Names of the experts, such as `"age/0"`, or `"/0"` for a shared one.
        learned: Whether each expert has a learned weight, which starts uniform between
            plus and minus `sqrt(1 / n)` where its task has `n` experts; else 1. With
            one expert a task there is nothing to learn.
        **kwargs: `seed`, see `StackedLayer`; the rest is passed to
            `keras.layers.Layer`.

    Call arguments:
        inputs: Gates, tensor of shape `(batch, receivers, experts)`.

    Returns:
        Tensor of the same shape.

    Example:
        >>> import kmtl, numpy as np
        >>> layer = kmtl.layers.AddOwnExperts(["a", "b"], tasks=["a/0", "b/0", "/0"])
        >>> layer(np.zeros((1, 2, 3))).numpy()
        array([[[1., 0., 0.],
                [0., 1., 0.]]], dtype=float32)

    Reference:
        Li et al., "AdaTT: Adaptive Task-to-Task Fusion Network for Multitask Learning
        in Recommendations", KDD 2023, https://arxiv.org/abs/2304.04959, section 3.2.
    """

    depends_on_inputs: ClassVar[bool] = False

    def __init__(
        self,
        receivers: Sequence[str],
        *,
        tasks: Sequence[str],
        learned: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, **kwargs)
        self.receivers = tuple(receivers)
        self.learned = learned

    def build(self, input_shape: Shape) -> None:
        del input_shape
        self._owners = [owner_of(name) for name in self.tasks]
        self.residual = None
        if self.learned:
            self.residual = self.add_weight(
                name="residual", shape=(len(self.tasks),), initializer=self._initial
            )

    def _initial(self, shape: Shape, dtype: Any) -> Tensor:
        uniform = keras.initializers.RandomUniform(-1.0, 1.0)
        draw = PerTask(uniform, tasks=self.tasks, seed=self.seed)
        siblings = Counter(self._owners)
        limits = [siblings[owner] ** -0.5 for owner in self._owners]
        return draw(shape, dtype) * ops.convert_to_tensor(limits, dtype=dtype)

    def call(self, inputs: Tensor) -> Tensor:
        return inputs + ops.cast(self._weights(), inputs.dtype)

    def _weights(self) -> Tensor:
        """Weights of shape `(receivers, experts)`, 0 for experts of others."""
        receivers = [owner_of(name) for name in self.receivers]
        owned = np.equal.outer(np.array(receivers), np.array(self._owners))
        owned = ops.convert_to_tensor(owned, dtype=self.variable_dtype)
        return owned if self.residual is None else owned * self.residual

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def sharing_frame(self, values: np.ndarray | None) -> pd.DataFrame:
        del values
        weights = ops.convert_to_numpy(self._weights())
        return named_frame(weights, self.receivers, self.tasks)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "receivers": list(self.receivers),
            "learned": self.learned,
        }
