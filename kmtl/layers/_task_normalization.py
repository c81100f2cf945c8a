"""Normalisation with statistics and scale of each task's own."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kmtl._typing import Config, Shape, Tensor
from kmtl.layers._stacked import SlicewiseLayer


class _TaskNormalization(SlicewiseLayer):
    """What both have in common: scale and shift, both `(tasks, features)`."""

    def build(self, input_shape: Shape) -> None:
        self.check_slices(input_shape)
        features = (input_shape[-1],)
        # In full precision, like the statistics: see `call` of Keras' own layers.
        self.gamma = self.add_stack("gamma", features, "ones", autocast=False)
        self.beta = self.add_stack("beta", features, "zeros", autocast=False)

    def _scaled(
        self,
        inputs: Tensor,
        weights: Sequence[Any],
        mean: Tensor,
        variance: Tensor,
    ) -> Tensor:
        gamma, beta = weights
        # Not `rsqrt`: where vectors end inside a tensor it rounds differently, so that
        # a task would depend on how many others there are.
        factor = gamma / ops.sqrt(variance + self.epsilon)
        outputs = (inputs - mean) * factor + beta
        return ops.cast(outputs, self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


@keras.saving.register_keras_serializable(package="kmtl")
class TaskBatchNormalization(_TaskNormalization):
    """A stack of batch normalisations, one for each task.

    Slice `t` computes what `keras.layers.BatchNormalization()` computes on the
    activations of task `t`, with the same moving averages.

    Args:
        tasks: Names of the tasks; their number is the length of the task axis.
        momentum: Share of the old value that a moving average keeps in each step.
        epsilon: Added to the variance.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., tasks, features)`.
        training: Whether to use, and to collect, the statistics of the batch.

    Returns:
        Tensor of the same shape.

    Example:
        >>> import kmtl, numpy as np
        >>> layer = kmtl.layers.TaskBatchNormalization(tasks=["a", "b"])
        >>> tuple(layer(np.ones((4, 2, 8))).shape)
        (4, 2, 8)
    """

    def __init__(
        self,
        *,
        tasks: Sequence[str],
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, **kwargs)
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        options = {"trainable": False, "autocast": False, "aggregation": "mean"}
        features = (input_shape[-1],)
        self.moving_mean = self.add_stack("moving_mean", features, "zeros", **options)
        self.moving_variance = self.add_stack(
            "moving_variance", features, "ones", **options
        )

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not (training and self.trainable):  # as in Keras, a frozen layer keeps them
            return self.apply_slices(inputs, self.weights)
        inputs = ops.cast(inputs, self.gamma.dtype)
        axes = (*range(len(inputs.shape) - 2),)
        mean, variance = ops.moments(inputs, axes)
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance)
        return self._scaled(inputs, [self.gamma, self.beta], mean, variance)

    def apply_slices(self, inputs: Tensor, weights: Sequence[Any]) -> Tensor:
        gamma, beta, mean, variance = weights
        inputs = ops.cast(inputs, self.gamma.dtype)
        return self._scaled(inputs, [gamma, beta], mean, variance)

    def _move(self, average: Any, value: Tensor) -> None:
        average.assign(average * self.momentum + value * (1.0 - self.momentum))

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }


@keras.saving.register_keras_serializable(package="kmtl")
class TaskLayerNormalization(_TaskNormalization):
    """A stack of layer normalisations, one for each task.

    Slice `t` computes what `keras.layers.LayerNormalization()` computes on the
    activations of task `t`.

    Args:
        tasks: Names of the tasks; their number is the length of the task axis.
        epsilon: Added to the variance.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., tasks, features)`.

    Returns:
        Tensor of the same shape.

    Example:
        >>> import kmtl, numpy as np
        >>> layer = kmtl.layers.TaskLayerNormalization(tasks=["a", "b"])
        >>> tuple(layer(np.ones((4, 2, 8))).shape)
        (4, 2, 8)
    """

    def __init__(
        self, *, tasks: Sequence[str], epsilon: float = 1e-3, **kwargs: Any
    ) -> None:
        super().__init__(tasks=tasks, **kwargs)
        self.epsilon = epsilon

    def apply_slices(self, inputs: Tensor, weights: Sequence[Any]) -> Tensor:
        inputs = ops.cast(inputs, self.gamma.dtype)
        mean, variance = ops.moments(inputs, -1, keepdims=True)
        return self._scaled(inputs, weights, mean, variance)

    def get_config(self) -> Config:
        return {**super().get_config(), "epsilon": self.epsilon}
