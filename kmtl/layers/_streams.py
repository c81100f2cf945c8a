"""Between the streams of tasks and the experts that work on them."""

import keras
from keras import ops

from kmtl._checks import check_count, check_positive_integer
from kmtl._typing import Config, Shape, Tensor


@keras.saving.register_keras_serializable(package="kmtl")
class SplitShared(keras.layers.Layer):
    """Splits what belongs to tasks from what they share, on the last axis but one.

    Args:
        shared: How many slices are shared; they come last.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., slices, features)`.

    Returns:
        Two tensors: the slices of tasks, and `(batch, ..., shared, features)`.

    Example:
        >>> import kmtl, numpy as np
        >>> own, shared = kmtl.layers.SplitShared(2)(np.zeros((2, 5, 8)))
        >>> tuple(own.shape), tuple(shared.shape)
        ((2, 3, 8), (2, 2, 8))
    """

    def __init__(self, shared: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        check_positive_integer(shared, "shared")
        self.shared = shared

    def call(self, inputs: Tensor) -> list[Tensor]:
        # Not by slices: the gradient of a strided slice takes four times as long.
        return ops.split(inputs, [inputs.shape[-2] - self.shared], axis=-2)

    def compute_output_shape(self, input_shape: Shape) -> list[Shape]:
        *rest, slices, features = input_shape
        own = slices - self.shared  # type: ignore[operator]
        return [(*rest, own, features), (*rest, self.shared, features)]

    def get_config(self) -> Config:
        return {**super().get_config(), "shared": self.shared}


@keras.saving.register_keras_serializable(package="kmtl")
class StreamsToExperts(keras.layers.Layer):
    """Repeats each task's stream for its experts, and the shared one for the shared.

    Args:
        own: How many experts a task has.
        shared: How many experts are shared. If there are any, the last stream is the
            shared one.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., streams, features)`.

    Returns:
        Tensor of shape `(batch, ..., experts, features)`, experts of the first task
        first, shared experts last.

    Example:
        >>> import kmtl, numpy as np
        >>> streams = np.array([[[1.0], [2.0], [3.0]]])  # of two tasks, and shared
        >>> experts = kmtl.layers.StreamsToExperts(2, shared=1)(streams)
        >>> experts[0, :, 0].numpy()
        array([1., 1., 2., 2., 3.], dtype=float32)
    """

    def __init__(self, own: int, *, shared: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        check_positive_integer(own, "own")
        check_count(shared, "shared")
        self.own = own
        self.shared = shared

    def call(self, inputs: Tensor) -> Tensor:
        if self.shared in (0, self.own):
            return _repeat(inputs, self.own)
        own, shared = ops.split(inputs, [inputs.shape[-2] - 1], axis=-2)
        parts = [_repeat(own, self.own), _repeat(shared, self.shared)]
        return ops.concatenate(parts, axis=-2)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        *rest, streams, features = input_shape
        tasks = streams - bool(self.shared)  # type: ignore[operator]
        return (*rest, tasks * self.own + self.shared, features)

    def get_config(self) -> Config:
        return {**super().get_config(), "own": self.own, "shared": self.shared}


def _repeat(streams: Tensor, count: int) -> Tensor:
    return streams if count == 1 else ops.repeat(streams, count, axis=-2)
