"""One convolution a task."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kmtl._checks import check_positive_integer
from kmtl._typing import Config, Shape, Tensor
from kmtl.layers._stacked import SlicewiseLayer


@keras.saving.register_keras_serializable(package="kmtl")
class TaskConv2D(SlicewiseLayer):
    """A stack of 2-D convolutions with stride 1, one for each task.

    Slice `t` computes what `keras.layers.Conv2D(filters, kernel_size, padding="same")`
    computes on the images of task `t`. Images of rank 4 are shared by all tasks, which
    makes one wide convolution; those of rank 5 are per task.

    Args:
        filters: Number of output channels of each task.
        kernel_size: Height and width of the kernel, in pixels.
        tasks: Names of the tasks; their number is the length of the task axis.
        use_bias: Whether to add a bias.
        kernel_initializer: Initializer of one slice of the kernel.
        kernel_regularizer: A Keras regularizer, called with the whole kernel of shape
            `(tasks, height, width, in, filters)`.
        **kwargs: `same_start` and `seed`, see `StackedLayer`; the rest is passed to
            `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, height, width, in)` or
            `(batch, height, width, tasks, in)`.

    Returns:
        Tensor of shape `(batch, height, width, tasks, filters)`.

    Raises:
        ValueError: If an argument or the shape of the input does not fit.

    Example:
        >>> import kmtl, numpy as np
        >>> layer = kmtl.layers.TaskConv2D(4, 3, tasks=["edge", "depth"])
        >>> tuple(layer(np.zeros((1, 8, 8, 3))).shape)
        (1, 8, 8, 2, 4)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        *,
        tasks: Sequence[str],
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, **kwargs)
        check_positive_integer(filters, "filters")
        check_positive_integer(kernel_size, "kernel_size")
        self.filters = filters
        self.kernel_size = kernel_size
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) not in (4, 5):
            raise ValueError(
                f"`{self.name}` takes images of shape (batch, height, width, channels) "
                "or (batch, height, width, tasks, channels). "
                f"Received: shape={tuple(input_shape)}."
            )
        if len(input_shape) == 5:
            self.check_slices(input_shape)
        self.kernel = self.add_stack(
            "kernel",
            (self.kernel_size, self.kernel_size, input_shape[-1], self.filters),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_stack("bias", (self.filters,), "zeros")

    def apply_slices(self, inputs: Tensor, weights: Sequence[Any]) -> Tensor:
        kernel, *bias = (ops.cast(w, self.compute_dtype) for w in weights)
        if len(inputs.shape) == 4:
            wide = ops.moveaxis(kernel, 0, -2)  # (h, w, in, tasks, filters)
            wide = ops.reshape(wide, (*wide.shape[:3], -1))
            outputs = _convolve(inputs, wide)
            size = ops.shape(outputs)[1:3]
            shape = (-1, *size, kernel.shape[0], self.filters)
            outputs = ops.reshape(outputs, shape)
        elif self.kernel_size == 1:  # a dense layer at every pixel, 3 to 5 times faster
            pixels = ops.reshape(inputs, (-1, *inputs.shape[3:]))
            outputs = ops.einsum("pti,tio->pto", pixels, kernel[:, 0, 0])
            shape = (-1, *ops.shape(inputs)[1:4], self.filters)
            outputs = ops.reshape(outputs, shape)
        else:
            # A grouped convolution goes through XLA on a CPU and is 60 times slower.
            pairs = zip(_slices(inputs, -2), _slices(kernel, 0), strict=True)
            slices = [_convolve(x, k) for x, k in pairs]
            outputs = ops.stack(slices, axis=-2)
        return outputs + bias[0] if bias else outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:3], len(self.tasks), self.filters)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


def _slices(stack: Tensor, axis: int) -> list[Tensor]:
    # At once: the gradient of one slice is as large as the whole stack.
    return list(ops.unstack(stack, axis=axis))


def _convolve(images: Tensor, kernel: Tensor) -> Tensor:
    return ops.conv(images, kernel, padding="same", data_format="channels_last")
