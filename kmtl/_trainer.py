"""Compiling and stepping: the part of `MTLModel` that Keras calls."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kmtl._checks import did_you_mean
from kmtl._hold import apply_and_hold
from kmtl._objective import GroupBatch, Objective
from kmtl._optimizers import check_optimizer
from kmtl._typing import ByTask, Config, Tensor
from kmtl.layers import Representation, TaskOutputs
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
    """The losses of one batch; everything but `penalty` is by task, `(tasks,)`."""

    batches: Sequence[GroupBatch]
    sums: Tensor
    weight_sums: Tensor
    means: Tensor
    penalty: Tensor


class Trainer(keras.Model):
    """A functional model that ends in `TaskOutputs`, trained on packed batches.

    It has no `__init__` and no `get_config`: Keras saves it as a graph only then.
    Its parts are found by layer.
    """

    # Set by `compile`; at class level because an uncompiled model can be saved too.
    task_metrics: Any = None
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
        check_optimizer(optimizer, self.outputs_layer.groups)
        self._objective = Objective(self.outputs_layer)
        metrics = TaskMetrics(self.outputs_layer, _replicas())
        freeze_absent = settings.pop("freeze_absent")
        settings.pop("optimizer")
        super().compile(optimizer=optimizer, loss=None, **settings)
        self.task_metrics = metrics
        self._compile_settings = {**settings, "freeze_absent": freeze_absent}
        if loss_weights is not None:
            self.outputs_layer.assign_loss_weights(loss_weights)
        # Made before the first trace: layers cannot be called anew inside one.
        _ = self.encoder, self.heads

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

    @property
    def outputs_layer(self) -> TaskOutputs:
        """The last layer, which carries tasks, features and loss weights."""
        found = [layer for layer in self.layers if isinstance(layer, TaskOutputs)]
        return found[0]

    @property
    def named_inputs(self) -> dict[str, Tensor]:
        """The symbolic inputs by name."""
        if isinstance(self.input, dict):
            return dict(self.input)
        is_input = keras.layers.InputLayer
        names = [layer.name for layer in self.layers if isinstance(layer, is_input)]
        return {names[0]: self.input}

    @functools.cached_property
    def encoder(self) -> keras.Model:
        """The part that tasks share: a model from the inputs to the representation."""
        return keras.Model(self.input, self._representation(), name="encoder")

    @functools.cached_property
    def heads(self) -> keras.Model:
        """The rest: a model from the representation to stacked logits, one a group."""
        stacked = self._stacked_logits()
        return keras.Model(self._representation(), stacked, name="heads")

    def _representation(self) -> Tensor:
        marks = [layer for layer in self.layers if isinstance(layer, Representation)]
        return marks[0].output

    def _stacked_logits(self) -> list[Tensor]:
        logits = self.outputs_layer.input
        return [logits] if isinstance(logits, keras.KerasTensor) else list(logits)

    def train_step(self, data: Any) -> dict[str, Tensor]:
        """Takes one optimizer step; returns the total of the epoch so far."""
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            losses = self._losses_of_tasks(x, y, training=True)
            total = ops.sum(self.outputs_layer.loss_weights * losses.means)
            total = total + losses.penalty / _replicas()  # the replicas' are summed
            scaled = self.optimizer.scale_loss(total)
        # The values: a `keras.Variable` is no argument of a tape.
        variables = list(self.trainable_variables)
        gradients = tape.gradient(scaled, [v.value for v in variables])
        self._apply(gradients, variables, losses.weight_sums)
        return self._record(losses)

    def test_step(self, data: Any) -> dict[str, Tensor]:
        """Measures one batch; returns the total so far."""
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        y = {key: value for key, value in y.items() if key != "class_weights"}
        return self._record(self._losses_of_tasks(x, y, training=False))

    def predict_step(self, data: Any) -> list[Tensor]:
        """Predicts one batch, one stacked tensor a head group."""
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        logits = self._logits(x, training=False)
        return self.outputs_layer.activate(self.outputs_layer.stack(logits))

    def _logits(self, x: Any, *, training: bool) -> Sequence[Tensor]:
        if not isinstance(self.input, dict):
            (x,) = x.values()
        logits: Any = self.heads(self.encoder(x, training=training), training=training)
        return logits if isinstance(logits, (list, tuple)) else [logits]

    def _losses_of_tasks(self, x: Any, y: Any, *, training: bool) -> StepLosses:
        objective = self._objective
        batches = objective.batches(y, self._logits(x, training=training))
        sums, weight_sums = objective.sums(batches)
        total_weights = _over_replicas(weight_sums)
        safe = ops.where(total_weights > 0, total_weights, ops.ones_like(total_weights))
        penalties = [ops.cast(p, sums.dtype) for p in self.losses]
        penalty = sum(penalties, start=ops.zeros((), dtype=sums.dtype))
        return StepLosses(batches, sums, weight_sums, sums / safe, penalty)

    def _apply(
        self, gradients: Sequence[Tensor], variables: Sequence[Any], present: Tensor
    ) -> None:
        def update() -> None:
            self.optimizer.apply(gradients, variables)

        if not self._holds_anything:
            update()
            return
        if not self.optimizer.built:
            with tf.init_scope():
                self.optimizer.build(variables)
        held = self.outputs_layer.frozen.value > 0
        if self._compile_settings["freeze_absent"]:
            held = tf.logical_or(held, _over_replicas(present) == 0)
        apply_and_hold(update, held, self._head_variables(), self.optimizer, variables)

    @property
    def _holds_anything(self) -> bool:
        # Read while tracing: `set_trainable` discards the traced function.
        with tf.init_scope():
            frozen = ops.convert_to_numpy(self.outputs_layer.frozen).any()
        return bool(frozen or self._compile_settings["freeze_absent"])

    def _head_variables(self) -> list[tuple[Any, list[Any]]]:
        pairs = []
        for group, logits in zip(
            self.outputs_layer.groups, self._stacked_logits(), strict=True
        ):
            head = keras.Model(self._representation(), logits)
            pairs.append((group, list(head.trainable_variables)))
        return pairs

    def _record(self, losses: StepLosses) -> dict[str, Tensor]:
        self.task_metrics.update_state(
            losses.batches, losses.sums, losses.weight_sums, losses.penalty
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
