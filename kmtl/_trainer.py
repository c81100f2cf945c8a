"""Compiling and stepping: the part of `MTLModel` that Keras calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kmtl._checks import did_you_mean
from kmtl._distillation import Distillation
from kmtl._hold import NOBODY, Hold
from kmtl._objective import GroupBatch, Objective
from kmtl._optimizers import check_optimizer
from kmtl._parts import Parts
from kmtl._typing import ByTask, Config, Tensor
from kmtl.metrics._task_metrics import TaskMetrics

_COMPILE_DEFAULTS: Config = {
    "optimizer": "adam",
    "jit_compile": "auto",
    "run_eagerly": False,
    "steps_per_execution": 1,
    "auto_scale_loss": True,
    "freeze_absent": False,
}


@dataclass(frozen=True)
class StepLosses:
    """The losses of one batch; all but the scalar penalties are by task, `(tasks,)`.

    `penalty` is that of layers and `sharing_penalty` that of coupled towers;
    `distillation` keeps the outputs of another model.
    """

    batches: Sequence[GroupBatch]
    sums: Tensor
    weight_sums: Tensor
    means: Tensor
    penalty: Tensor
    sharing_penalty: Tensor
    distillation: Tensor


class Trainer(Parts):
    """A functional model that ends in `TaskOutputs`, trained on packed batches.

    It has no `__init__` and no `get_config`: Keras saves it as a graph only then.
    Its parts are found by layer.
    """

    # Set by `compile`; at class level because an uncompiled model can be saved too.
    task_metrics: Any = None
    distillation: Distillation | None = None
    _objective: Any = None
    _compile_settings: Any = None

    def compile(
        self,
        optimizer: Any = None,
        *,
        loss_weights: ByTask | None = None,
        **settings: Any,
    ) -> None:
        """Sets what training needs; what is not given stays as it is.

        Args:
            optimizer: A Keras optimizer or its name; `"adam"` at first.
            loss_weights: Weights of the losses by task name, for some or all tasks.
            **settings: `jit_compile` (`"auto"`), `run_eagerly` (`False`),
                `steps_per_execution` (1), `auto_scale_loss` (`True`), as in Keras;
                `freeze_absent` (`False`): a task without a label in a batch keeps
                its head exactly, momentum and weight decay included.

        Raises:
            TypeError: For a setting that does not exist. Losses and metrics belong to
                the tasks.
            ValueError: For an optimizer that would couple the heads of tasks, or a
                wrong loss weight.
        """
        _check_settings(settings)
        _refuse_keras_distribution()
        settings = {**_COMPILE_DEFAULTS, **(self._compile_settings or {}), **settings}
        if optimizer is None:
            optimizer = self.optimizer if self.compiled else settings["optimizer"]
        optimizer = keras.optimizers.get(optimizer)
        check_optimizer(optimizer, self.layers)
        self._objective = Objective(self.outputs_layer)
        metrics = TaskMetrics(
            self.outputs_layer,
            _replicas(),
            is_coupled=self.towers is not None,
            is_distilled=self.distillation is not None,
        )
        freeze_absent = settings.pop("freeze_absent")
        settings.pop("optimizer")
        super().compile(optimizer=optimizer, loss=None, **settings)
        self.task_metrics = metrics
        self._compile_settings = {**settings, "freeze_absent": freeze_absent}
        if loss_weights is not None:
            self.outputs_layer.assign_loss_weights(loss_weights)
        # Made before the first trace: layers cannot be called anew inside one.
        _ = self.encoder, self.heads, self.towers

    def get_compile_config(self) -> Config:
        """Returns what `compile_from_config` needs."""
        if not self.compiled:
            return {}
        return {
            "optimizer": keras.optimizers.serialize(self.optimizer),
            **(self._compile_settings or {}),
        }

    def compile_from_config(self, config: Config) -> None:
        """Compiles a loaded model; its loss weights came back as variables."""
        config = dict(config)
        optimizer = keras.optimizers.deserialize(config.pop("optimizer"))
        self.compile(optimizer, **config)
        self.optimizer.build(self.trainable_variables)

    def train_step(self, data: Any) -> dict[str, Tensor]:
        """Takes one optimizer step; returns the total of the epoch so far."""
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        variables, hold = self._trained_and_held()
        with tf.GradientTape() as tape:
            losses = self._losses_of_tasks(x, y, training=True)
            total = ops.sum(self.outputs_layer.loss_weights * losses.means)
            total = total + self._trained_penalty(losses)
            scaled = self.optimizer.scale_loss(total)
        # The values: a `keras.Variable` is no argument of a tape.
        gradients = tape.gradient(scaled, [v.value for v in variables])
        self.optimizer.apply(gradients, variables)
        if self.towers is not None and self.towers.coupling.proximal:
            self.towers.proximal_step(self.optimizer.learning_rate)
        if hold is not None:
            hold.restore(self._held(losses.weight_sums))
        return self._record(losses)

    def _trained_penalty(self, losses: StepLosses) -> Tensor:
        penalty = losses.penalty + losses.distillation
        if self.towers is not None and not self.towers.coupling.proximal:
            penalty = penalty + losses.sharing_penalty
        return penalty / _replicas()  # those of the replicas are summed

    def test_step(self, data: Any) -> dict[str, Tensor]:
        """Measures one batch; returns the total so far."""
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        y = {key: value for key, value in y.items() if key != "class_weights"}
        return self._record(self._losses_of_tasks(x, y, training=False))

    def predict_step(self, data: Any) -> list[Tensor]:
        """Predicts one batch, one stacked tensor a head group."""
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        logits = self.logits(x, training=False)
        return self.outputs_layer.activate(self.outputs_layer.stack(logits))

    def logits(
        self, x: Any, *, training: bool, given: Tensor | None = None
    ) -> Sequence[Tensor]:
        """Computes stacked logits.

        Args:
            x: Inputs by name.
            training: Whether layers train.
            given: Labels that other heads see, see `Objective.given`; none by default.
        """
        if not isinstance(self.input, dict):
            (x,) = x.values()
        # An encoder that is not trained runs as in predictions: batch normalisation by
        # its moving averages, no dropout.
        is_trained = training and not self._encoder_rests
        inputs = keras.tree.flatten(self.encoder(x, training=is_trained))
        for nothing in self._given_inputs():
            shape = (ops.shape(inputs[0])[0], nothing.shape[-1])
            inputs.append(ops.full(shape, float("nan")) if given is None else given)
        inputs = inputs if len(inputs) > 1 else inputs[0]
        logits: Any = self.heads(inputs, training=training)
        return logits if isinstance(logits, (list, tuple)) else [logits]

    def _losses_of_tasks(self, x: Any, y: Any, *, training: bool) -> StepLosses:
        objective = self._objective
        given = objective.given(y) if training else None
        logits = self.logits(x, training=training, given=given)
        batches = objective.batches(y, logits)
        sums, weight_sums = objective.sums(batches)
        total_weights = _over_replicas(weight_sums)
        safe = ops.where(total_weights > 0, total_weights, ops.ones_like(total_weights))
        penalties = [ops.cast(p, sums.dtype) for p in self.losses]
        penalty = sum(penalties, start=ops.zeros((), dtype=sums.dtype))
        sharing = ops.zeros_like(penalty)
        if self.towers is not None:
            sharing = ops.cast(self.towers.penalty(), sums.dtype)
        kept = ops.zeros_like(penalty)
        if self.distillation is not None:
            kept = self.distillation.loss(x, given, self.outputs_layer, logits)
        return StepLosses(
            batches, sums, weight_sums, sums / safe, penalty, sharing, kept
        )

    def _trained_and_held(self) -> tuple[list[Any], Hold | None]:
        """What a step updates, and what it must put back at its end."""
        variables = list(self.trainable_variables)
        frozen = self._frozen_owners()
        freeze_absent = self._compile_settings["freeze_absent"]
        if not frozen and not freeze_absent:
            return variables, None
        if not self.optimizer.built:
            with tf.init_scope():
                self.optimizer.build(variables)
        owned = self._owned()
        resting = {id(p.variable) for p in owned if p.all_owners <= frozen}
        if self.towers is not None and self.towers.coupling.proximal:
            resting = set()  # the proximal step moves all coupled weights
        tasks = set(range(len(self.outputs_layer.tasks)))
        may_rest = frozen | tasks if freeze_absent else frozen
        held = [
            part
            for part in owned
            if part.all_owners & may_rest
            and not (part.variable.trainable and id(part.variable) in resting)
        ]
        trained = [v for v in variables if id(v) not in resting]
        return trained, Hold(held, self.optimizer)

    def _frozen_owners(self) -> set[int]:
        """Numbers of frozen tasks, and `NOBODY` where what tasks share is frozen.

        Read while tracing: `set_trainable` discards the traced function.
        """
        layer = self.outputs_layer
        with tf.init_scope():
            frozen = ops.convert_to_numpy(layer.frozen)
            is_shared_frozen = bool(ops.convert_to_numpy(layer.frozen_shared).any())
        return {*np.flatnonzero(frozen).tolist(), *[NOBODY] * is_shared_frozen}

    def _held(self, present: Tensor) -> Tensor:
        """Which tasks do not move in this step, and last, what belongs to none."""
        layer = self.outputs_layer
        held = layer.frozen.value > 0
        if self._compile_settings["freeze_absent"]:
            held = tf.logical_or(held, _over_replicas(present) == 0)
        return tf.concat([held, layer.frozen_shared.value > 0], 0)

    @property
    def _encoder_rests(self) -> bool:
        """Whether nothing in the encoder is trained."""
        frozen = self._frozen_owners()
        if NOBODY not in frozen:
            return False
        return all(part.all_owners <= frozen for part in self._owned_by_encoder())

    def _record(self, losses: StepLosses) -> dict[str, Tensor]:
        self.task_metrics.update_state(
            losses.batches,
            losses.sums,
            losses.weight_sums,
            (losses.penalty, losses.sharing_penalty, losses.distillation),
        )
        return {"loss": self.task_metrics.running_total()}

    def get_metrics_result(self) -> dict[str, float]:
        """Returns every loss and metric over the rows since the last reset."""
        return self.task_metrics.result()

    # Keras has no public hook for logs that differ from what a step returns, and a step
    # that computed all of them would be slow with many tasks.
    def _get_metrics_result_or_logs(self, logs: Mapping[str, Any]) -> dict[str, float]:
        del logs
        return self.get_metrics_result()


def _replicas() -> int:
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def _over_replicas(values: Tensor) -> Tensor:
    """Sums over replicas: a task's mean is over the rows of the global batch."""
    if _replicas() == 1:
        return values
    return tf.distribute.get_replica_context().all_reduce("sum", values)


def _check_settings(settings: Mapping[str, Any]) -> None:
    for name in settings:
        if name in ("loss", "metrics", "weighted_metrics"):
            raise TypeError(
                f"`{name}` belongs to the tasks: BinaryTask(name, loss=..., "
                f"metrics=[...]). Received: {name}={settings[name]!r}."
            )
        if name not in _COMPILE_DEFAULTS:
            raise TypeError(
                f"`compile` has no setting {name!r}."
                f"{did_you_mean(name, _COMPILE_DEFAULTS)}"
            )


def _refuse_keras_distribution() -> None:
    if keras.distribution.distribution() is not None:
        raise ValueError(
            "`keras.distribution` does nothing on the TensorFlow backend; build and "
            "compile the model under `tf.distribute.MirroredStrategy().scope()`. "
            f"Received: {keras.distribution.distribution()!r}."
        )
