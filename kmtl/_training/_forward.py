"""The forward pass of a model on packed batches: from inputs to the losses of tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kmtl._distillation import Distillation
from kmtl._hold import NOBODY
from kmtl._objective import GroupBatch
from kmtl._parts import Parts
from kmtl._replicas import over_replicas, replica_count
from kmtl._training._own_slices import OwnSlices
from kmtl._training._recorded import Inner
from kmtl._training._task_gradients import TaskGradients
from kmtl._typing import Tensor


@dataclass(frozen=True)
class StepLosses:
    """The losses of one batch by task, `(tasks,)`, and what they are made of.

    `given` are labels that heads of other tasks saw; `inner` are values inside the
    model, where gradients of single tasks are taken; `has_labels` tells whether a label
    counts in the global batch.
    """

    given: Tensor | None
    logits: Sequence[Tensor]
    inner: Inner
    batches: Sequence[GroupBatch]
    sums: Tensor
    weight_sums: Tensor
    has_labels: Tensor
    means: Tensor


class Penalties(NamedTuple):
    """Scalars beside the losses of tasks.

    `layers` is that of regularizers, `sharing` that of coupled towers; `distillation`
    keeps the outputs of another model.
    """

    layers: Tensor
    sharing: Tensor
    distillation: Tensor


class Forward(Parts):
    """Computes logits and losses."""

    distillation: Distillation | None = None
    _objective: Any = None  # set by `compile`
    _task_gradients: TaskGradients | None = None
    _own_slices: OwnSlices | None = None
    _has_searched_own_slices = False

    @property
    def _reads_tape_often(self) -> bool:
        """Whether gradients of single tasks are taken in training."""
        return False

    def task_gradients(self) -> TaskGradients:
        """Returns what takes the gradients of the model by task.

        A method: Keras reads every property when it saves, and this is work.
        """
        if self._task_gradients is None:
            self._task_gradients = TaskGradients(self)
        return self._task_gradients

    def own_slices(self) -> OwnSlices | None:
        """Returns what computes rows of one task each, if slices can be told apart.

        To be called before a step is traced: layers cannot be called anew inside one.
        """
        if not self._has_searched_own_slices:
            self._own_slices = OwnSlices.of(self)
            self._has_searched_own_slices = True
        return self._own_slices

    def gains_by_own_slices(self) -> bool:
        """Whether rows of one task each are computed faster without other tasks."""
        own = self.own_slices()
        return own is not None and own.saves_work

    def logits(
        self, x: Any, *, training: bool, given: Tensor | None = None
    ) -> Sequence[Tensor]:
        """Computes stacked logits.

        Args:
            x: Inputs by name.
            training: Whether layers train.
            given: Labels that other heads see, see `Objective.given`; none by default.
        """
        return self.logits_and_inner(x, training=training, given=given)[0]

    def logits_and_inner(
        self,
        x: Any,
        *,
        training: bool,
        given: Tensor | None = None,
        by_task: bool = False,
    ) -> tuple[Sequence[Tensor], Inner]:
        """Computes stacked logits, and what is inside for gradients by task.

        Args:
            x: Inputs by name.
            training: Whether layers train.
            given: As in `logits`.
            by_task: Whether gradients by task are taken, besides those of training.
        """
        if not isinstance(self.input, dict):
            (x,) = x.values()
        # An encoder that is not trained runs as in predictions: batch normalisation by
        # its moving averages, no dropout.
        is_trained = training and not self._encoder_rests
        by_task = by_task or (training and self._reads_tape_often)
        if by_task:
            inputs, inner = self.task_gradients().encode(x, training=is_trained)
        else:
            inputs = keras.tree.flatten(self.encoder(x, training=is_trained))
        for nothing in self._given_inputs():
            shape = (ops.shape(inputs[0])[0], nothing.shape[-1])
            inputs.append(ops.full(shape, float("nan")) if given is None else given)
        inputs = inputs if len(inputs) > 1 else inputs[0]
        if by_task:
            return self.task_gradients().apply_heads(inputs, inner, training=training)
        logits: Any = self.heads(inputs, training=training)
        return (logits if isinstance(logits, (list, tuple)) else [logits]), Inner()

    def _own_logits(
        self, slices: OwnSlices, x: Any, tasks: Tensor, *, training: bool
    ) -> list[Tensor]:
        if not isinstance(self.input, dict):
            (x,) = x.values()
        is_static = bool(self.jit_compile)
        return slices.logits(x, tasks, training=training, is_static=is_static)

    def _own_slices_for(self, y: Any, training: bool) -> OwnSlices | None:
        """Returns what computes the slices of the rows' own tasks, where that is all.

        Rows of several tasks need more, and so do gradients by task and distillation.
        """
        own = self._own_slices
        if "tasks" not in y or own is None or self.distillation is not None:
            return None
        may_train = own.keeps_state and not self._reads_tape_often
        is_alone = not training or (may_train and not self._encoder_rests)
        return own if is_alone else None

    def _losses_of_tasks(self, x: Any, y: Any, *, training: bool) -> StepLosses:
        objective = self._objective
        given = objective.given(y) if training else None
        slices = self._own_slices_for(y, training)
        if slices is not None:
            own = self._own_logits(slices, x, y["tasks"], training=training)
            sums, weight_sums = objective.own_sums(y, own, y["tasks"])
            # For metrics; without any, this is no part of the traced step.
            logits: Sequence[Tensor] = slices.spread(own, y["tasks"])
            inner = Inner()
            batches = objective.batches(y, logits)
        else:
            logits, inner = self.logits_and_inner(x, training=training, given=given)
            batches = objective.batches(y, logits)
            sums, weight_sums = objective.sums(batches)
        totals = over_replicas(weight_sums)
        has_labels = totals > 0
        means = sums / ops.where(has_labels, totals, ops.ones_like(totals))
        return StepLosses(
            given, logits, inner, batches, sums, weight_sums, has_labels, means
        )

    def _penalties(self, x: Any, losses: StepLosses) -> Penalties:
        """Returns those of the last forward pass, which gave the losses."""
        zero = ops.zeros((), dtype=losses.sums.dtype)
        layers = sum((ops.cast(p, zero.dtype) for p in self.losses), start=zero)
        sharing = distillation = zero
        if self.towers is not None:
            sharing = ops.cast(self.towers.penalty(), zero.dtype)
        if self.distillation is not None:
            distillation = self.distillation.loss(
                x, losses.given, self.outputs_layer, losses.logits
            )
        return Penalties(layers, sharing, distillation)

    def _trained_penalty(self, penalties: Penalties) -> Tensor:
        penalty = penalties.layers + penalties.distillation
        if self.towers is not None and not self.towers.coupling.proximal:
            penalty = penalty + penalties.sharing
        return penalty / replica_count()  # those of the replicas are summed

    @property
    def _encoder_rests(self) -> bool:
        """Whether nothing in the encoder is trained."""
        frozen = self._frozen_owners()
        if NOBODY not in frozen:
            return False
        return all(part.all_owners <= frozen for part in self._owned_by_encoder())

    def _frozen_owners(self) -> set[int]:
        """Numbers of frozen tasks, and `NOBODY` where what tasks share is frozen.

        Read while tracing: `set_trainable` discards the traced function.
        """
        layer = self.outputs_layer
        with tf.init_scope():
            frozen = ops.convert_to_numpy(layer.frozen)
            is_shared_frozen = bool(ops.convert_to_numpy(layer.frozen_shared).any())
        return {*np.flatnonzero(frozen).tolist(), *[NOBODY] * is_shared_frozen}
