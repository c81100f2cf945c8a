"""Compiling and stepping: the part of `MTLModel` that Keras calls."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from kmtl._checks import did_you_mean
from kmtl._hold import Hold
from kmtl._objective import Objective
from kmtl._optimizers import check_may_rest, check_optimizer
from kmtl._replicas import replica_count
from kmtl._training._balanced import Balanced
from kmtl._training._forward import Penalties, StepLosses
from kmtl._training._update import update
from kmtl._typing import ByTask, Config, Tensor
from kmtl.balancing import Balancing
from kmtl.metrics._task_metrics import TaskMetrics

_COMPILE_DEFAULTS: Config = {
    "optimizer": "adam",
    "jit_compile": "auto",
    "run_eagerly": False,
    "steps_per_execution": 1,
    "auto_scale_loss": True,
    "freeze_absent": False,
}


class Trainer(Balanced):
    """A functional model that ends in `TaskOutputs`, trained on packed batches.

    It has no `__init__` and no `get_config`: Keras saves it as a graph only then.
    Its parts are found by layer.
    """

    # Set by `compile`; at class level because an uncompiled model can be saved too.
    task_metrics: Any = None
    _compile_settings: Any = None

    def compile(
        self,
        optimizer: Any = None,
        *,
        loss_weights: ByTask | None = None,
        balancing: Balancing | None = None,
        **settings: Any,
    ) -> None:
        """Sets what training needs; what is not given stays as it is.

        Args:
            optimizer: A Keras optimizer or its name; `"adam"` at first.
            loss_weights: Weights of the losses by task name, for some or all tasks.
            balancing: How tasks are weighed in each step, a method of `kmtl.balancing`;
                `FixedWeights()` at first. A method that is given starts anew.
            **settings: `jit_compile` (`"auto"`), `run_eagerly` (`False`),
                `steps_per_execution` (1), `auto_scale_loss` (`True`), as in Keras;
                `freeze_absent` (`False`): a task without a label in a batch keeps
                its head exactly, momentum and weight decay included; not with
                `gradient_accumulation_steps` of the optimizer.

        Raises:
            TypeError: For a setting that does not exist. Losses and metrics belong to
                the tasks.
            ValueError: For an optimizer that would couple the heads of tasks or does
                not go with `freeze_absent`, a wrong loss weight, or a method that finds
                nothing to balance.
        """
        _check_settings(settings)
        _refuse_keras_distribution()
        settings = {**_COMPILE_DEFAULTS, **(self._compile_settings or {}), **settings}
        if optimizer is None:
            optimizer = self.optimizer if self.compiled else settings["optimizer"]
        optimizer = keras.optimizers.get(optimizer)
        check_optimizer(optimizer, self.layers)
        if settings["freeze_absent"]:
            check_may_rest(optimizer)
        self._task_gradients = None  # what is trained may have changed
        state = self.balancing_state if balancing is None else self._state_of(balancing)
        balancer = self._balancer_of(state)
        metrics = TaskMetrics(
            self.outputs_layer,
            replica_count(),
            is_coupled=self.towers is not None,
            is_distilled=self.distillation is not None,
        )
        if loss_weights is not None:
            self.outputs_layer.assign_loss_weights(loss_weights)
        # Nothing was wrong: from here on the model changes.
        freeze_absent = settings.pop("freeze_absent")
        settings.pop("optimizer")
        super().compile(optimizer=optimizer, loss=None, **settings)
        self._objective = Objective(self.outputs_layer)
        self.task_metrics = metrics
        self._compile_settings = {**settings, "freeze_absent": freeze_absent}
        self._balancer = balancer
        # Made before the first trace: layers cannot be called anew inside one.
        _ = self.encoder, self.heads, self.towers

    def get_compile_config(self) -> Config:
        """Returns what `compile_from_config` needs."""
        if not self.compiled:
            return {}
        return {
            "optimizer": keras.optimizers.serialize(self.optimizer),
            "balancing": keras.saving.serialize_keras_object(self.balancing),
            **(self._compile_settings or {}),
        }

    def compile_from_config(self, config: Config) -> None:
        """Compiles a loaded model; its loss weights came back as variables."""
        config = dict(config)
        optimizer = keras.optimizers.deserialize(config.pop("optimizer"))
        balancing = keras.saving.deserialize_keras_object(config.pop("balancing", None))
        self.compile(optimizer, balancing=balancing, **config)
        self.optimizer.build(self.trainable_variables)

    def make_train_function(self, force: bool = False) -> Any:
        """Makes the optimizer's variables, then as Keras does.

        Made while a step is traced, they would have it traced a second time.
        """
        with self.distribute_strategy.scope():
            self._build_optimizer()
        return super().make_train_function(force)

    def _build_optimizer(self) -> None:
        if not self.optimizer.built:
            with tf.init_scope():
                self.optimizer.build(self.trainable_variables)

    def train_step(self, data: Any) -> dict[str, Tensor]:
        """Takes one optimizer step; returns the total of the epoch so far."""
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        variables, hold = self._trained_and_held()
        seeds = self._seeds()
        with tf.GradientTape(persistent=self._reads_tape_often) as tape:
            losses = self._losses_of_tasks(x, y, training=True)
            penalties = self._penalties(x, losses)
            penalty = self._trained_penalty(penalties)
        recorded = self._recorded(tape, losses, penalty)
        recorded = self._looked_ahead(recorded, losses, x, y, seeds)
        weighed = self._weigh(recorded, losses)
        gradients = self._gradients(recorded, weighed, variables)
        if self._own_slices_for(y, training=True) is None:
            self.optimizer.apply(gradients, variables)
        else:
            update(self.optimizer, gradients, variables)
        if self.towers is not None and self.towers.coupling.proximal:
            self.towers.proximal_step(self.optimizer.learning_rate)
        if hold is not None:
            hold.restore(self._held(losses.has_labels))
        self._finish(weighed, x, y, seeds)
        return self._record(losses, penalties)

    def test_step(self, data: Any) -> dict[str, Tensor]:
        """Measures one batch; returns the total so far."""
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        y = {key: value for key, value in y.items() if key != "class_weights"}
        losses = self._losses_of_tasks(x, y, training=False)
        return self._record(losses, self._penalties(x, losses))

    def predict_step(self, data: Any) -> list[Tensor]:
        """Predicts one batch, one stacked tensor a head group.

        In place of labels there may be those that heads of other tasks are to see, or a
        dict with the task of each row, `"tasks"`.
        """
        x, known, _ = keras.utils.unpack_x_y_sample_weight(data)
        slices = self.own_slices() if isinstance(known, dict) else None
        if slices is not None:
            own = self._own_logits(slices, x, known["tasks"], training=False)
            return self.outputs_layer.activate_own(own, known["tasks"])
        logits = self.logits(x, training=False, given=known)
        return self.outputs_layer.activate(self.outputs_layer.stack(logits))

    def _trained_and_held(self) -> tuple[list[Any], Hold | None]:
        """What a step updates, and what it must put back at its end."""
        variables = list(self.trainable_variables)
        frozen = self._frozen_owners()
        freeze_absent = self._compile_settings["freeze_absent"]
        if not frozen and not freeze_absent:
            return variables, None
        self._build_optimizer()  # a step may be taken without `fit`
        owned = self.owned_variables()
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

    def _held(self, has_labels: Tensor) -> Tensor:
        """Which tasks do not move in this step, and last, what belongs to none."""
        layer = self.outputs_layer
        held = layer.frozen.value > 0
        if self._compile_settings["freeze_absent"]:
            held = tf.logical_or(held, ~has_labels)
        return tf.concat([held, layer.frozen_shared.value > 0], 0)

    def _record(self, losses: StepLosses, penalties: Penalties) -> dict[str, Tensor]:
        self.task_metrics.update_state(
            losses.batches, losses.sums, losses.weight_sums, penalties
        )
        return {"loss": self.task_metrics.running_total()}

    def get_metrics_result(self) -> dict[str, float]:
        """Returns every loss and metric over the rows since the last reset."""
        logs = self.task_metrics.result()
        return logs | (self._balancer.result() if self._balancer else {})

    def reset_metrics(self) -> None:
        """Forgets what was recorded of an epoch."""
        super().reset_metrics()
        if self._balancer is not None:
            self._balancer.reset()

    # Keras has no public hook for logs that differ from what a step returns, and a step
    # that computed all of them would be slow with many tasks.
    def _get_metrics_result_or_logs(self, logs: Mapping[str, Any]) -> dict[str, float]:
        del logs
        return self.get_metrics_result()


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
