"""What draws the towers of soft parameter sharing together."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kmtl._typing import Config, Shape, Tensor
from kmtl.regularizers import TaskRegularizer


@keras.saving.register_keras_serializable(package="kmtl")
class Coupling(keras.layers.Layer):
    """Passes the towers on and says how, and how strongly, their weights are coupled.

    `MTLModel` finds it and adds `strength` times the regularizer's penalty of every
    coupled weight to the loss. The strength is a weight of this layer, so that it can
    change while training and is saved with the model.

    Args:
        regularizer: A regularizer of `kmtl.regularizers`, for the towers in their
            order; its own strength is the initial one.
        weights: What is coupled, as `"<layer>/<weight>"`.
        heads: Whether kernels of the heads are coupled too.
        proximal: Whether the penalty acts as a step after the optimizer's, in place of
            a gradient.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of any shape.

    Returns:
        The same tensor.

    Example:
        >>> import kmtl, numpy as np
        >>> layer = kmtl.layers.Coupling(kmtl.regularizers.MeanL2(), ["dense/kernel"])
        >>> tuple(layer(np.zeros((4, 2, 8))).shape)
        (4, 2, 8)
    """

    def __init__(
        self,
        regularizer: TaskRegularizer,
        weights: Sequence[str],
        *,
        heads: bool = False,
        proximal: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.regularizer = regularizer
        self.coupled = tuple(weights)
        self.heads = heads
        self.proximal = proximal

    def build(self, input_shape: Shape) -> None:
        del input_shape

        def initial(shape: Shape, dtype: Any) -> Tensor:
            return ops.full(shape, self.regularizer.strength, dtype=dtype)

        self.strength = self.add_weight(
            name="strength",
            shape=(),
            initializer=initial,
            trainable=False,
            autocast=False,
        )

    def call(self, inputs: Tensor) -> Tensor:
        return inputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "regularizer": keras.saving.serialize_keras_object(self.regularizer),
            "weights": list(self.coupled),
            "heads": self.heads,
            "proximal": self.proximal,
        }

    @classmethod
    def from_config(cls, config: Config) -> "Coupling":
        regularizer = keras.saving.deserialize_keras_object(config["regularizer"])
        return cls(**{**config, "regularizer": regularizer})
