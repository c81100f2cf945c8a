"""Gradients of single tasks at what they share, and one weighted backward pass."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kmtl._parts import Parts
from kmtl._training._shared_weights import all_pass_shared_tensors, trained_weights
from kmtl._typing import Tensor
from kmtl.layers import (
    MixExperts,
    MixOwnExperts,
    Representation,
    SharedTensor,
    SplitTasks,
    TabularEmbedding,
    TakeTasks,
    TaskDense,
    TaskGate,
)
from kmtl.layers._wide import wide_dtype

# Layers whose gradients for all tasks at once take no longer than one after another.
# Convolutions take four times as long, recurrent layers half as long again, and layers
# that are not known may have no vectorised form at all.
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
    MixExperts,
    MixOwnExperts,
    Representation,
    SharedTensor,
    SplitTasks,
    TabularEmbedding,
    TakeTasks,
    TaskDense,
    TaskGate,
)


@dataclass(frozen=True)
class Recorded:
    """One forward pass, on a tape that can be read several times.

    Attributes:
        tape: The tape.
        losses: The mean losses, `(tasks,)`.
        penalty: What is added to them, a scalar.
        shared: The values of the tensors that tasks share.
        factors: The loss weights, `(tasks,)`, times what the optimizer multiplies
            losses with in mixed precision.
        scale: The latter.
    """

    tape: tf.GradientTape
    losses: Tensor
    penalty: Tensor
    shared: Sequence[Tensor]
    factors: Tensor
    scale: Tensor


class TaskGradients:
    """Takes the gradients of a model by task.

    Args:
        model: The model.
    """

    def __init__(self, model: Parts) -> None:
        self.weights = trained_weights(model)
        self.shares_tensors = bool(model.shared_tensors)
        self._encoder = keras.Model(
            model.input, [*model.encoder.outputs, *model.shared_tensors]
        )
        self._seen_by_heads = len(model.encoder.outputs)
        # Then the rest of the backward pass starts at the shared tensors.
        self._is_cut = self.shares_tensors and all_pass_shared_tensors(
            model, self.weights
        )
        self._is_vectorised = all(
            isinstance(layer, _VECTORISED) for layer in _leaves(model.encoder)
        )

    def check(self, at: str) -> None:
        """Raises `ValueError` if tasks share nothing at which gradients can meet.

        Args:
            at: `"representation"` or `"shared"`.
        """
        if not any(np.any(weight.shared) for weight in self.weights):
            raise ValueError(
                "Gradients can be balanced only at what tasks share, and each task has "
                "weights of its own in this model, as with `kmtl.sharing.Soft`. Use a "
                "method by losses, such as `kmtl.balancing.GLS()`, or another sharing."
            )
        if at == "representation" and not self.shares_tensors:
            raise ValueError(
                "The sharing of this model has no tensors that tasks share, only "
                "weights, as in cross-stitch networks: take the gradients there, with "
                '`at="shared"`. Received: at="representation".'
            )

    def encode(self, x: Any, *, training: bool) -> tuple[list[Tensor], list[Tensor]]:
        """Runs the encoder.

        Returns:
            What the heads see, and the tensors that tasks share.
        """
        outputs = keras.tree.flatten(self._encoder(x, training=training))
        return outputs[: self._seen_by_heads], outputs[self._seen_by_heads :]

    def at_representation(self, recorded: Recorded) -> list[Tensor]:
        """Returns the gradients of each task at each shared tensor.

        Returns:
            Tensors `(tasks, batch, ...)`.
        """
        rows = [
            _gradient(recorded.tape, recorded.losses, list(recorded.shared), one)
            for one in tf.unstack(tf.linalg.diag(recorded.factors))
        ]
        return [tf.stack(column) for column in zip(*rows, strict=True)]

    def at_shared_weights(self, recorded: Recorded) -> list[Tensor]:
        """Returns the gradients of each task by each shared weight.

        Returns:
            Tensors `(tasks, ...)`; 0 in slices of a weight that belong to one task.
        """
        shared = [w for w in self.weights if np.any(w.shared)]
        variables = [w.variable.value for w in shared]
        target: Any = recorded.losses
        cotangents: Any = tf.linalg.diag(recorded.factors)
        if self._is_cut:
            target, cotangents = (
                list(recorded.shared),
                self.at_representation(recorded),
            )

        def backward(one: Any) -> list[Tensor]:
            return _gradient(recorded.tape, target, variables, one)

        gradients = self._for_each_task(backward, cotangents)
        return [
            gradient * _mask(weight.shared, gradient)
            for weight, gradient in zip(shared, gradients, strict=True)
        ]

    def _for_each_task(
        self, backward: Callable[[Any], list[Tensor]], cotangents: Any
    ) -> list[Tensor]:
        """Stacks what `backward` gives for each slice of the cotangents."""
        if self._is_vectorised:
            return tf.vectorized_map(backward, cotangents, fallback_to_while_loop=False)
        flat = keras.tree.flatten(cotangents)
        rows = [
            backward(keras.tree.pack_sequence_as(cotangents, list(parts)))
            for parts in zip(*map(tf.unstack, flat), strict=True)
        ]
        return [tf.stack(column) for column in zip(*rows, strict=True)]

    def update(
        self, recorded: Recorded, weights: Tensor, *, weighted_heads: bool
    ) -> list[Any]:
        """Returns the gradients of an update, one a trainable variable.

        Args:
            recorded: The forward pass.
            weights: The weights of the tasks, `(tasks,)`.
            weighted_heads: Whether they act on what belongs to one task too.
        """
        weighted = recorded.factors * tf.cast(weights, recorded.factors.dtype)
        plain = weighted if weighted_heads else recorded.factors
        shared = [w for w in self.weights if np.any(w.shared)]
        own = [w for w in self.weights if not np.all(w.shared)]
        found: dict[int, list[Any]] = {}
        for parts, factors in ((shared, weighted), (own, plain)):
            gradients = recorded.tape.gradient(
                [recorded.losses, recorded.penalty],
                [w.variable.value for w in parts],
                output_gradients=[factors, recorded.scale],
            )
            for weight, gradient in zip(parts, gradients, strict=True):
                found.setdefault(id(weight.variable), []).append(gradient)
        return [_joined(w.shared, found[id(w.variable)]) for w in self.weights]


def gramian(gradients: Sequence[Tensor]) -> Tensor:
    """Returns the inner products of the tasks' gradients, `(tasks, tasks)`.

    Args:
        gradients: Tensors `(tasks, ...)`, one a variable or shared tensor.
    """
    total: Any = 0.0
    for gradient in gradients:
        flat = tf.reshape(tf.cast(gradient, wide_dtype()), (gradient.shape[0], -1))
        total = total + tf.matmul(flat, flat, transpose_b=True)
    return tf.cast(total, "float64")


def _gradient(tape: tf.GradientTape, target: Any, sources: Any, one: Any) -> list[Any]:
    gradients = tape.gradient(
        target,
        sources,
        output_gradients=one,
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return [tf.convert_to_tensor(gradient) for gradient in gradients]


def _mask(shared: bool | np.ndarray, gradient: Tensor) -> Tensor:
    """Of the rank of a gradient `(tasks, slices, ...)`: 1 for shared slices, else 0."""
    if isinstance(shared, bool):
        return tf.ones((), gradient.dtype)
    shape = (1, -1) + (1,) * (len(gradient.shape) - 2)
    return tf.reshape(tf.constant(shared, gradient.dtype), shape)


def _joined(shared: bool | np.ndarray, gradients: Sequence[Any]) -> Any:
    """Of the weighted and the plain gradient what belongs in each slice."""
    if isinstance(shared, bool):
        return gradients[0]
    weighted, plain = (tf.convert_to_tensor(gradient) for gradient in gradients)
    shape = (-1,) + (1,) * (len(weighted.shape) - 1)
    return tf.where(tf.reshape(tf.constant(shared), shape), weighted, plain)


def _leaves(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """The layers of a model, those of models inside it too."""
    if isinstance(layer, keras.Model):
        for inner in layer.layers:
            yield from _leaves(inner)
    else:
        yield layer
