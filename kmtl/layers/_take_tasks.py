"""Some slices of the task axis."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kmtl._checks import check_known_keys, shorten
from kmtl._typing import Config, Shape, Tensor


@keras.saving.register_keras_serializable(package="kmtl")
class TakeTasks(keras.layers.Layer):
    """Picks slices of the task axis, the last but one, by name.

    Args:
        taken: Names of the slices to take, in the order of the output, also one several
            times; a single name takes one slice and drops the axis.
        tasks: Names of the slices of the input.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., tasks, features)`.

    Returns:
        Tensor of shape `(batch, ..., len(taken), features)`, or
        `(batch, ..., features)` for a single name.

    Raises:
        ValueError: If a name is unknown or the input has another number of slices.

    Example:
        >>> import kmtl, numpy as np
        >>> stacked, names = np.zeros((3, 2, 8)), ["age", "income"]
        >>> tuple(kmtl.layers.TakeTasks(["income"], tasks=names)(stacked).shape)
        (3, 1, 8)
        >>> tuple(kmtl.layers.TakeTasks("income", tasks=names)(stacked).shape)
        (3, 8)
    """

    def __init__(
        self, taken: str | Sequence[str], *, tasks: Sequence[str], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.tasks = tuple(tasks)
        self.taken = taken if isinstance(taken, str) else tuple(taken)
        check_known_keys(self._names(), self.tasks, "taken")

    def _names(self) -> tuple[str, ...]:
        return (self.taken,) if isinstance(self.taken, str) else self.taken

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) < 3 or input_shape[-2] not in (None, len(self.tasks)):
            raise ValueError(
                f"`{self.name}` takes an input with the tasks {shorten(self.tasks)} on "
                f"the last axis but one. Received: shape={tuple(input_shape)}."
            )

    def call(self, inputs: Tensor) -> Tensor:
        if self.taken == self.tasks:
            return inputs
        places = [self.tasks.index(name) for name in self._names()]
        indices = places[0] if isinstance(self.taken, str) else places
        return ops.take(inputs, indices, axis=-2)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        count = () if isinstance(self.taken, str) else (len(self.taken),)
        return (*input_shape[:-2], *count, input_shape[-1])

    def get_config(self) -> Config:
        one = isinstance(self.taken, str)
        return {
            **super().get_config(),
            "taken": self.taken if one else list(self.taken),
            "tasks": list(self.tasks),
        }
