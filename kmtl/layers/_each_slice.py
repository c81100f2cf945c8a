"""A regularizer of one layer, for a stack of layers."""

from typing import Any, Self

import keras

from kmtl._typing import Config, Tensor

_ELEMENTWISE = (
    keras.regularizers.L1,
    keras.regularizers.L2,
    keras.regularizers.L1L2,
)


@keras.saving.register_keras_serializable(package="kmtl")
class EachSlice(keras.regularizers.Regularizer):
    """The sum of a regularizer over the slices of a stacked weight.

    Args:
        inner: The Keras regularizer of one slice.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __call__(self, weights: Tensor) -> Tensor:
        return sum(self.inner(weights[i]) for i in range(weights.shape[0]))

    def get_config(self) -> Config:
        return {"inner": keras.regularizers.serialize(self.inner)}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        return cls(keras.regularizers.get(config["inner"]))


def each_slice(regularizer: Any) -> Any:
    """Returns a regularizer of a stack that counts for every slice on its own.

    Args:
        regularizer: A Keras regularizer, its name, or `None`.
    """
    inner = keras.regularizers.get(regularizer)
    if inner is None or type(inner) in _ELEMENTWISE:
        return inner
    return EachSlice(inner)
