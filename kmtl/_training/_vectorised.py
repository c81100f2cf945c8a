"""One backward pass a task: all at once, or one after another."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf

from kmtl._typing import Tensor
from kmtl.layers import (
    Representation,
    SharedTensor,
    SplitTasks,
    StackedLayer,
    TabularEmbedding,
    TakeTasks,
    TaskDense,
    TaskGate,
)

# Layers whose gradients for all tasks at once take no longer than one after another.
# Convolutions take four times as long, recurrent layers half as long again, and layers
# that are not known may have no vectorised form at all. Mixtures of experts are left
# out: TensorFlow 2.21 on processors gets their vectorised products of matrices wrong
# where a batch is one row, and writes beyond their memory
# (https://github.com/tensorflow/tensorflow/issues/117700).
_VECTORISED = (
    keras.layers.Activation,
    keras.layers.BatchNormalization,
    keras.layers.Concatenate,
    keras.layers.Dense,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.InputLayer,
    keras.layers.LayerNormalization,
    keras.layers.MultiHeadAttention,
    keras.layers.ReLU,
    keras.layers.Reshape,
    Representation,
    SharedTensor,
    SplitTasks,
    TabularEmbedding,
    TakeTasks,
    TaskDense,
    TaskGate,
)


def gains_by_vectorising(operations: Iterable[Any]) -> bool:
    """Whether all tasks' gradients are best taken at once.

    Args:
        operations: What the backward pass goes through.
    """
    return all(map(_gains, operations))


def _gains(operation: Any) -> bool:
    if isinstance(operation, keras.Sequential):
        return gains_by_vectorising(operation.layers)
    if isinstance(operation, keras.Function):
        return gains_by_vectorising(operation.operations)
    # In a stack of one slice the slices are what rows are in mixtures, see above.
    is_one_slice = isinstance(operation, StackedLayer) and len(operation.tasks) == 1
    return isinstance(operation, _VECTORISED) and not is_one_slice


def for_each_task(
    backward: Callable[[Any], list[Tensor]], cotangents: Any, *, vectorised: bool
) -> list[Tensor]:
    """Stacks what a backward pass gives for each slice of the cotangents.

    Args:
        backward: From the slice of a task to tensors.
        cotangents: A tensor or a list of them, `(tasks, ...)`.
        vectorised: Whether to take all at once.

    Returns:
        Tensors `(tasks, ...)`.
    """
    if vectorised:
        return tf.vectorized_map(backward, cotangents, fallback_to_while_loop=False)
    flat = keras.tree.flatten(cotangents)
    rows = [
        backward(keras.tree.pack_sequence_as(cotangents, list(parts)))
        for parts in zip(*map(tf.unstack, flat), strict=True)
    ]
    return [tf.stack(column) for column in zip(*rows, strict=True)]
