"""Gradients of single tasks at what they share, and one weighted backward pass."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kmtl._parts import Parts
from kmtl._replicas import over_replicas, replica_count
from kmtl._training._blocks import block_size, gramian_in_blocks
from kmtl._training._fan_out import fan_out, products
from kmtl._training._graph import Graph
from kmtl._training._recorded import Inner, Plain, Recorded
from kmtl._training._shared_weights import (
    TrainedWeight,
    all_pass_shared_tensors,
    trained_weights,
)
from kmtl._training._vectorised import for_each_task, gains_by_vectorising
from kmtl._typing import Tensor


class TaskGradients:
    """Takes the gradients of a model by task.

    Args:
        model: The model.

    Attributes:
        place: Where gradients are best taken: `"representation"`, or `"shared"` where
            tasks share weights but no tensors; `None` where they share nothing.
    """

    def __init__(self, model: Parts) -> None:
        graph = Graph(model.encoder)
        self._weights = trained_weights(model, graph)
        self._shared = [w for w in self._weights if np.any(w.shared)]
        self._size = sum(int(np.prod(w.variable.shape)) for w in self._shared)
        self._own = [w for w in self._weights if not np.all(w.shared)]
        nearest = "representation" if model.shared_tensors else "shared"
        self.place = nearest if self._shared else None
        # Then the rest of the backward pass starts at the shared tensors.
        self._is_cut = self.place == "representation" and all_pass_shared_tensors(
            model, graph, self._weights
        )
        targets = model.shared_tensors if self._is_cut else model.encoder.outputs
        passed = graph.behind(targets).values() if graph.is_whole else graph.operations
        self._is_vectorised = gains_by_vectorising(passed)
        self._fan_out = fan_out(model)
        self._make_models(model)

    def _make_models(self, model: Parts) -> None:
        """Makes models of the encoder and the heads that show tensors inside too."""
        fan = self._fan_out
        self._counts = [len(model.encoder.outputs), len(model.shared_tensors)]
        in_encoder = [*model.shared_tensors, *(fan.in_encoder if fan else [])]
        self._encoder = keras.Model(model.input, [*model.encoder.outputs, *in_encoder])
        in_heads = fan.in_heads if fan else []
        self._heads = model.heads_with(in_heads)
        logits = model.stacked_logits()
        places = list(dict.fromkeys(map(id, [*logits, *in_heads])))
        self._logits = [places.index(id(tensor)) for tensor in logits]
        self._behind = [places.index(id(tensor)) for tensor in in_heads]

    def check(self, at: str) -> None:
        """Raises `ValueError` if tasks share nothing at which gradients can meet.

        Args:
            at: `"representation"` or `"shared"`.
        """
        if self.place is None:
            raise ValueError(
                "Gradients can be balanced only at trained weights that tasks share, "
                "and this model has none: each task has weights of its own, as with "
                "`kmtl.sharing.Soft`, or all others are frozen. Use a method by "
                "losses, such as `kmtl.balancing.GLS()`, or another sharing."
            )
        if at == "representation" and self.place != at:
            raise ValueError(
                "The sharing of this model has no tensors that tasks share, only "
                "weights, as in cross-stitch networks: take the gradients there, with "
                '`at="shared"`. Received: at="representation".'
            )

    def encode(self, x: Any, *, training: bool) -> tuple[list[Tensor], Inner]:
        """Runs the encoder; returns what heads see, and what is inside."""
        outputs = keras.tree.flatten(self._encoder(x, training=training))
        seen, shared = self._counts
        return outputs[:seen], Inner(
            outputs[seen : seen + shared], outputs[seen + shared :]
        )

    def apply_heads(
        self, inputs: Any, inner: Inner, *, training: bool
    ) -> tuple[list[Tensor], Inner]:
        """Runs the heads; returns stacked logits, and what is inside."""
        outputs = keras.tree.flatten(self._heads(inputs, training=training))
        behind = [*inner.behind, *(outputs[place] for place in self._behind)]
        logits = [outputs[place] for place in self._logits]
        return logits, replace(inner, behind=behind)

    def plain(self, recorded: Recorded) -> Plain:
        """Takes the backward pass of plain training as far as tasks are apart."""
        handles = self._handles(recorded)
        own = [w.variable for w in self._own]
        read = self._fan_out.read() if self._fan_out else []
        # The updates of these weights wait for the gradients, and so for the reading.
        # TensorFlow 2.21 drops a plain order of the two: as long as Keras groups all
        # gradients in one `IdentityN` it seems to follow from the data, but the graph
        # is simplified later, and then one update may come before the reading.
        with tf.control_dependencies(read):
            factors = tf.identity(recorded.factors)
        gradients = recorded.tape.gradient(
            recorded.losses,
            [*handles, *(v.value for v in own)],
            output_gradients=factors,
        )
        of_own = dict(zip(map(id, own), gradients[len(handles) :], strict=True))
        # Inside a `tf.cond` gradients lose their static shapes.
        at_handles = [
            tf.ensure_shape(gradient, handle.shape)
            for gradient, handle in zip(gradients[: len(handles)], handles, strict=True)
        ]
        return Plain(of_own, at_handles, read)

    def _handles(self, recorded: Recorded) -> list[Tensor]:
        return self._fan_out.handles(recorded.inner.behind) if self._fan_out else []

    def gramian(self, recorded: Recorded, plain: Plain, at: str) -> Tensor:
        """Returns the inner products of the tasks' gradients over the global batch.

        Args:
            recorded: The forward pass.
            plain: The backward pass of plain training.
            at: `"representation"` or `"shared"`.
        """
        if at == "representation":
            # Replicas hold other rows of the tensors: their products add up.
            gramian = over_replicas(self._at_representation(recorded, plain))
        else:
            gramian = self._at_shared_weights(recorded, plain)
        return tf.cast(gramian, "float64") / tf.cast(recorded.scale, "float64") ** 2

    def of_task(self, recorded: Recorded, one: Tensor) -> list[tuple[Any, Tensor]]:
        """Returns the gradient of a task's weighted loss by each shared weight.

        It is 0 in slices of a weight that belong to one task.

        Args:
            recorded: The forward pass.
            one: 1 at the task, 0 elsewhere, `(tasks,)`.
        """
        variables = [w.variable.value for w in self._shared]
        factors = one * recorded.factors
        gradients = _gradient(recorded.tape, recorded.losses, variables, factors)
        return [
            (
                weight.variable,
                _masked(gradient[None], weight.shared)[0]
                / tf.cast(recorded.scale, gradient.dtype),
            )
            for weight, gradient in zip(self._shared, gradients, strict=True)
        ]

    def by_task(self, recorded: Recorded, plain: Plain, at: str) -> Plain:
        """Adds the gradients by task at the shared tensors, where `gramian` takes them.

        Then the weighted backward pass can start from them.
        """
        is_mixture = self._fan_out is not None and self._fan_out.has_closed_form
        if is_mixture if at == "representation" else not self._is_cut:
            return plain
        return replace(plain, by_task=self._by_task(recorded, plain))

    def _at_representation(self, recorded: Recorded, plain: Plain) -> Tensor:
        if self._fan_out is not None and self._fan_out.has_closed_form:
            return self._fan_out.gramian(plain.handles, recorded.inner.behind)
        return sum(map(products, self._by_task(recorded, plain)))

    def _by_task(self, recorded: Recorded, plain: Plain) -> Sequence[Tensor]:
        """The gradients of each task at each shared tensor, `(tasks, batch, ...)`."""
        if plain.by_task is not None:
            return plain.by_task
        if self._fan_out is not None:
            values = recorded.inner.behind
            return [self._fan_out.by_task(plain.handles, values, plain.read)]
        rows = [
            _gradient(recorded.tape, recorded.losses, recorded.inner.shared, one)
            for one in tf.unstack(tf.linalg.diag(recorded.factors))
        ]
        return [tf.stack(column) for column in zip(*rows, strict=True)]

    def _at_shared_weights(self, recorded: Recorded, plain: Plain) -> Tensor:
        target: Any = recorded.losses
        cotangents: Any = tf.linalg.diag(recorded.factors)
        if self._is_cut:
            target = list(recorded.inner.shared)
            cotangents = [
                tf.cast(part, z.dtype)
                for part, z in zip(self._by_task(recorded, plain), target, strict=True)
            ]

        def gradients(of: Any) -> list[Tensor]:
            return self._by_shared_weights(recorded, target, of)

        tasks = recorded.losses.shape[0]
        size = block_size(tasks, self._size)
        # TensorFlow cannot sum over replicas in a loop.
        if size == tasks or replica_count() > 1:
            return sum(map(products, gradients(cotangents)))
        return gramian_in_blocks(gradients, cotangents, size)

    def _by_shared_weights(
        self, recorded: Recorded, target: Any, cotangents: Any
    ) -> list[Tensor]:
        """The gradients of tasks by each shared weight, `(tasks, ...)`.

        They are 0 in slices of a weight that belong to one task.
        """
        variables = [w.variable.value for w in self._shared]

        def backward(one: Any) -> list[Tensor]:
            return _gradient(recorded.tape, target, variables, one)

        gradients = for_each_task(backward, cotangents, vectorised=self._is_vectorised)
        return [
            _masked(over_replicas(gradient), weight.shared)
            for weight, gradient in zip(self._shared, gradients, strict=True)
        ]

    def update(
        self, recorded: Recorded, plain: Plain, weights: Tensor, *, weighted_heads: bool
    ) -> list[Any]:
        """Returns the gradients of an update, one a trainable variable.

        Args:
            recorded: The forward pass.
            plain: The backward pass of plain training.
            weights: The weights of the tasks, `(tasks,)`.
            weighted_heads: Whether they act on what belongs to one task too.
        """
        weights = tf.cast(weights, recorded.factors.dtype)
        shared = self._weighted(recorded, plain, weights)
        own = plain.own
        if weighted_heads:
            own = self._by_losses(recorded, self._own, recorded.factors * weights)
        penalties = recorded.tape.gradient(
            recorded.penalty,
            [w.variable.value for w in self._weights],
            output_gradients=recorded.scale,
        )
        return [
            _sum(_joined(w, shared, own), penalty)
            for w, penalty in zip(self._weights, penalties, strict=True)
        ]

    def _weighted(
        self, recorded: Recorded, plain: Plain, weights: Tensor
    ) -> dict[int, Any]:
        """The weighted gradients of shared weights, by `id` of the variable."""
        at_shared = self._weighted_at_shared(recorded, plain, weights)
        if at_shared is None:
            return self._by_losses(recorded, self._shared, recorded.factors * weights)
        shared = list(recorded.inner.shared)
        variables = [w.variable for w in self._shared]
        gradients = recorded.tape.gradient(
            shared, [v.value for v in variables], output_gradients=at_shared
        )
        return dict(zip(map(id, variables), gradients, strict=True))

    def _weighted_at_shared(
        self, recorded: Recorded, plain: Plain, weights: Tensor
    ) -> list[Tensor] | None:
        """The weighted gradients at the shared tensors, where all pass there."""
        shared = list(recorded.inner.shared)
        if not self._is_cut:
            return None
        if plain.by_task is not None:
            return [
                tf.cast(tf.tensordot(weights, tf.cast(g, weights.dtype), 1), z.dtype)
                for g, z in zip(plain.by_task, shared, strict=True)
            ]
        if self._fan_out is None:
            return None
        at_handles = self._fan_out.weighted(plain.handles, weights)
        return recorded.tape.gradient(
            self._handles(recorded), shared, output_gradients=at_handles
        )

    def _by_losses(
        self, recorded: Recorded, of: Sequence[TrainedWeight], factors: Tensor
    ) -> dict[int, Any]:
        variables = [w.variable for w in of]
        gradients = recorded.tape.gradient(
            recorded.losses, [v.value for v in variables], output_gradients=factors
        )
        return dict(zip(map(id, variables), gradients, strict=True))


def _gradient(tape: tf.GradientTape, target: Any, sources: Any, one: Any) -> list[Any]:
    gradients = tape.gradient(
        target,
        sources,
        output_gradients=one,
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return [tf.convert_to_tensor(gradient) for gradient in gradients]


def _masked(gradient: Tensor, shared: bool | np.ndarray) -> Tensor:
    """Puts 0 in slices that are not shared of a gradient `(tasks, slices, ...)`."""
    if isinstance(shared, bool):
        return gradient  # not times 1: that would be a copy of the largest tensor
    shape = (1, -1) + (1,) * (len(gradient.shape) - 2)
    return gradient * tf.reshape(tf.constant(shared, gradient.dtype), shape)


def _joined(weight: TrainedWeight, shared: dict[int, Any], own: dict[int, Any]) -> Any:
    """Of the weighted and the plain gradient what belongs in each slice."""
    key = id(weight.variable)
    if isinstance(weight.shared, bool):
        return (shared if weight.shared else own)[key]
    parts = shared[key], own[key]
    if any(part is None for part in parts):
        return next((part for part in parts if part is not None), None)
    weighted, plain = map(tf.convert_to_tensor, parts)
    shape = (-1,) + (1,) * (len(weighted.shape) - 1)
    return tf.where(tf.reshape(tf.constant(weight.shared), shape), weighted, plain)


def _sum(*gradients: Any) -> Any:
    """The sum of those that are not `None`; sparse gradients alone stay so."""
    known = [gradient for gradient in gradients if gradient is not None]
    if len(known) < 2:
        return known[0] if known else None
    return tf.add_n([tf.convert_to_tensor(gradient) for gradient in known])
