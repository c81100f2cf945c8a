"""One dense layer a task, all tasks in one tensor operation."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kmtl._checks import check_positive_integer, check_unique
from kmtl._typing import Config, Shape, Tensor
from kmtl.layers._per_task import PerTask, draw_seed


@keras.saving.register_keras_serializable(package="kmtl")
class TaskDense(keras.layers.Layer):
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
        seed: Decides the initial values together with each task's name. Drawn from
            the global Keras seed by default.
        **kwargs: Passed to `keras.layers.Layer`.

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
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_positive_integer(units, "units")
        check_unique(list(tasks), "tasks")
        self.units = units
        self.tasks = tuple(tasks)
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.seed = draw_seed() if seed is None else seed

    def build(self, input_shape: Shape) -> None:
        tasks = len(self.tasks)
        if len(input_shape) not in (2, 3):
            raise ValueError(
                f"`{self.name}` takes an input of rank 2, (batch, features), or 3, "
                f"(batch, tasks, features). Received: shape={tuple(input_shape)}. "
                "Pool a feature map to a vector first."
            )
        if len(input_shape) == 3 and input_shape[1] != tasks:
            raise ValueError(
                f"`{self.name}` expects {tasks} tasks on axis 1 of its input. "
                f"Received: shape={tuple(input_shape)}."
            )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(tasks, input_shape[-1], self.units),
            initializer=self._per_task(self.kernel_initializer),
            regularizer=self.kernel_regularizer,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(tasks, self.units),
                initializer=self._per_task(self.bias_initializer),
            )

    def _per_task(self, initializer: Any) -> PerTask:
        return PerTask(initializer, tasks=self.tasks, seed=self.seed)

    def call(self, inputs: Tensor) -> Tensor:
        # Three forms of one product, each the fastest for its shapes on a CPU.
        kernel = ops.cast(self.kernel, inputs.dtype)  # (t, i, o)
        bias = None if self.bias is None else ops.cast(self.bias, inputs.dtype)
        tasks, features, units = kernel.shape
        if len(inputs.shape) == 2:
            wide = ops.reshape(ops.transpose(kernel, (1, 0, 2)), (features, -1))
            outputs = ops.matmul(inputs, wide)
            if bias is not None:  # flat: fused with the product
                outputs = outputs + ops.reshape(bias, (-1,))
            return self.activation(ops.reshape(outputs, (-1, tasks, units)))
        if units == 1:
            outputs = ops.sum(inputs * kernel[:, :, 0], axis=-1, keepdims=True)
        else:
            outputs = ops.einsum("bti,tio->bto", inputs, kernel)
        return self.activation(outputs if bias is None else outputs + bias)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], len(self.tasks), self.units)

    def slice_task(self, index: int) -> "TaskDense":
        """Returns a layer of the one task, with a copy of its weights."""
        config = {**self.get_config(), "tasks": [self.tasks[index]]}
        single = TaskDense.from_config(config)
        single.build((None, self.kernel.shape[1]))
        for ours, theirs in zip(self.weights, single.weights, strict=True):
            theirs.assign(ours[index : index + 1])
        return single

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "units": self.units,
            "tasks": list(self.tasks),
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "seed": self.seed,
        }
