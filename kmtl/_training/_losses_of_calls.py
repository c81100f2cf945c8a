"""Which layers add losses when they are called."""

from typing import Any

import keras
import tensorflow as tf

from kmtl.layers import TaskModel
from kmtl.layers._by_slice import works_by_slice


def may_add_loss(operation: Any) -> bool:
    """Whether a call of a layer of a model may add to its losses.

    Those of single slices would not be those of all, and none would clear them.
    """
    if isinstance(operation, TaskModel):  # regularizers of the copies count in a call
        return _losses_of(operation.template) > 0
    if not isinstance(operation, keras.layers.Layer):
        return False
    if operation.activity_regularizer is not None:
        return True
    is_of_this_package = type(operation).__module__.startswith("kmtl.")
    if is_of_this_package or works_by_slice(operation):
        return False
    regularized = [w for w in operation.trainable_weights if w.regularizer is not None]
    return _losses_of(operation) > len(regularized)


def _losses_of(layer: Any) -> int:
    """Counts the losses of a layer after a call, by tracing one."""
    # A model calls its layers in their own precision, and with all their arguments.
    model = keras.Model(layer.input, layer.output)

    def losses(inputs: Any) -> list[Any]:
        trained = [v.value for v in model.trainable_variables]
        others = [v.value for v in model.non_trainable_variables]
        called = model.stateless_call(trained, others, inputs, return_losses=True)
        return list(called[2])

    specs = keras.tree.map_structure(
        lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), model.input
    )
    traced = tf.function(losses).get_concrete_function(specs)
    return len(traced.structured_outputs)
