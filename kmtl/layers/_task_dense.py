"""One dense layer a task, all tasks in one tensor operation."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kmtl._checks import check_positive_integer
from kmtl._typing import Config, Shape, Tensor
from kmtl.layers._stacked import SlicewiseLayer


@keras.saving.register_keras_serializable(package="kmtl")
class TaskDense(SlicewiseLayer):
    """A stack of dense layers, one for each task.

    Slice `t` computes what `keras.layers.Dense(units)` computes on the input of task
    `t`. An input of rank 2 is shared by all tasks, one of rank 3 is per task.

    Args:
        units: Width of the output of each task.
        tasks: Names of the tasks; their number is the length of the task axis.
        activation: A Keras activation or its name.
        use_bias: Whether to add a bias.
        kernel_initializer: Initializer of one slice of the kernel.
        bias_initializer: Initializer of one slice of the bias.
        kernel_regularizer: A Keras regularizer, called with the whole kernel of shape
            `(tasks, in, units)`.
        **kwargs: `same_start` and `seed`, see `StackedLayer`; the rest is passed to
            `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, in)` or `(batch, tasks, in)`.

    Returns:
        Tensor of shape `(batch, tasks, units)`.

    Raises:
        ValueError: If an argument or the shape of the input does not fit.

    Example:
        >>> import kmtl, numpy as np
        >>> layer = kmtl.layers.TaskDense(4, tasks=["age", "income"])
        >>> tuple(layer(np.zeros((3, 8))).shape)
        (3, 2, 4)
    """

    def __init__(
        self,
        units: int,
        *,
        tasks: Sequence[str],
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, **kwargs)
        check_positive_integer(units, "units")
        self.units = units
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) not in (2, 3):
            raise ValueError(
                f"`{self.name}` takes an input of rank 2, (batch, features), or 3, "
                f"(batch, tasks, features). Received: shape={tuple(input_shape)}. "
                "Pool a feature map to a vector first."
            )
        if len(input_shape) == 3:
            self.check_slices(input_shape)
        self.kernel = self.add_stack(
            "kernel",
            (input_shape[-1], self.units),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_stack("bias", (self.units,), self.bias_initializer)

    def apply_slices(self, inputs: Tensor, weights: Sequence[Any]) -> Tensor:
        # Forms of one product, each the fastest for its shapes on a CPU.
        inputs = ops.cast(inputs, self.compute_dtype)  # integers are numbers too
        kernel, *biases = (ops.cast(w, self.compute_dtype) for w in weights)
        bias = biases[0] if biases else None
        tasks, features, units = kernel.shape
        if len(inputs.shape) == 2:
            wide = ops.reshape(ops.transpose(kernel, (1, 0, 2)), (features, -1))
            outputs = _product(inputs, wide)
            if bias is not None:  # flat: fused with the product
                outputs = outputs + ops.reshape(bias, (-1,))
            return self.activation(ops.reshape(outputs, (-1, tasks, units)))
        # Slices of no fixed number are those of rows in groups by task, which come with
        # their axes turned: a product takes them as they are.
        if units == 1 and tasks is not None:
            outputs = ops.sum(inputs * kernel[:, :, 0], axis=-1, keepdims=True)
            return self.activation(outputs if bias is None else outputs + bias)
        # The same by `einsum` is a quarter slower.
        by_task = ops.matmul(ops.transpose(inputs, (1, 0, 2)), kernel)
        if bias is not None:  # before the turn, next to which may be one back
            by_task = by_task + bias[:, None]
        return self.activation(ops.transpose(by_task, (1, 0, 2)))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], len(self.tasks), self.units)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


def _product(inputs: Tensor, wide: Tensor) -> Tensor:
    """A matrix product whose columns do not change when others come or go."""
    if wide.shape[-1] > 1:
        return ops.matmul(inputs, wide)
    # A single column would be summed in another order.
    return ops.matmul(inputs, ops.repeat(wide, 2, axis=-1))[:, :1]
