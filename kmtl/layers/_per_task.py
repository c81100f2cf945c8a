"""Initial values of stacked weights."""

import random
import zlib
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kmtl._typing import Config, Shape, Tensor


@keras.saving.register_keras_serializable(package="kmtl")
class PerTask(keras.initializers.Initializer):
    """Draws each slice of a stacked weight as a layer of its own would draw it.

    Keras computes the fans of a 3-D kernel by the rule for convolutions, which makes
    the slices 3 to 4 times too small, and gives equal values to layers that share an
    integer seed. Here every slice has the fans of the slice and a seed made from
    `seed` and the task's name, so that siblings differ and the order of the tasks
    does not matter.

    Args:
        inner: The initializer of one slice: a Keras initializer or its name.
        tasks: Names of the tasks, one a slice.
        seed: An integer, usually the same for a whole model.

    Example:
        >>> import kmtl
        >>> initializer = kmtl.layers.PerTask("he_normal", tasks=["a", "b"], seed=0)
        >>> tuple(initializer((2, 16, 4)).shape)
        (2, 16, 4)
    """

    def __init__(self, inner: Any, *, tasks: Sequence[str], seed: int) -> None:
        self.inner = keras.initializers.get(inner)
        self.tasks = tuple(tasks)
        self.seed = seed

    def __call__(self, shape: Shape, dtype: Any = None) -> Tensor:
        if shape[0] != len(self.tasks):
            raise ValueError(
                f"`shape` must start with the number of tasks, {len(self.tasks)}. "
                f"Received: shape={tuple(shape)}."
            )
        if not isinstance(self.inner, keras.initializers.Initializer):  # a function
            return ops.stack([self.inner(shape[1:], dtype=dtype) for _ in self.tasks])
        config = self.inner.get_config()
        if "seed" not in config:  # not random: all slices are equal
            return ops.broadcast_to(self.inner(shape[1:], dtype=dtype), shape)
        slices = [self._slice(config, name, shape[1:], dtype) for name in self.tasks]
        return ops.stack(slices)

    def _slice(self, config: Config, name: str, shape: Shape, dtype: Any) -> Tensor:
        seed = derive_seed(self.seed, config["seed"], name)
        return type(self.inner).from_config({**config, "seed": seed})(shape, dtype)

    def get_config(self) -> Config:
        return {
            "inner": keras.initializers.serialize(self.inner),
            "tasks": list(self.tasks),
            "seed": self.seed,
        }


def derive_seed(*parts: object) -> int:
    """Returns a 32-bit seed that depends on every part and on nothing else."""
    return zlib.crc32("/".join(map(str, parts)).encode())


def draw_seed() -> int:
    """Draws a seed from the generator that `keras.utils.set_random_seed` sets."""
    return random.randrange(2**31)
