"""The part of a training step that weighs the tasks."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kmtl._replicas import over_replicas
from kmtl._training._balancer import Balancer, Weighed
from kmtl._training._balancing_state import BalancingState
from kmtl._training._constant_losses import ConstantLosses
from kmtl._training._forward import Forward, StepLosses
from kmtl._training._gradient_recorder import GradientRecorder
from kmtl._training._look_ahead import LookAhead
from kmtl._training._recorded import Recorded
from kmtl._typing import Tensor
from kmtl.balancing import (
    Balancing,
    FixedWeights,
    GradientBalancing,
    LossBalancing,
)


class Balanced(Forward):
    """Turns the losses of tasks into the gradients of an update."""

    # Set by `compile` and by callbacks.
    _balancer: Any = None
    _recorder: GradientRecorder | None = None
    _look_ahead: LookAhead | None = None

    @property
    def balancing(self) -> Balancing:
        """The method that weighs the tasks in training."""
        state = self.balancing_state
        return FixedWeights() if state is None else state.method

    @property
    def balancing_state(self) -> BalancingState | None:
        """What the method remembers; `None` with fixed weights.

        A property, by which Keras finds it when it saves: a layer that is set as an
        attribute stays one of the model's, and its variables count as weights.
        """
        return None if self._balancer is None else self._balancer.state

    @property
    def task_weights(self) -> dict[str, float]:
        """The weights that the method gave the tasks in the last step, by name.

        Losses are multiplied by them and by the loss weights.
        """
        names = [task.name for task in self.outputs_layer.tasks]
        state = self.balancing_state
        if state is None:
            return dict.fromkeys(names, 1.0)
        weights = ops.convert_to_numpy(state.weights_of_tasks)
        return dict(zip(names, weights.tolist(), strict=True))

    def _state_of(self, method: Balancing) -> BalancingState | None:
        """Makes the state that a method starts with; changes nothing in the model."""
        if not isinstance(method, Balancing):
            raise TypeError(
                "`balancing` must be a method such as `kmtl.balancing.GLS()`. "
                f"Received: {method!r}."
            )
        if isinstance(method, FixedWeights):
            return None
        constants = None
        if isinstance(method, LossBalancing) and method.sees_constant_losses:
            constants = ConstantLosses(self.outputs_layer)
        return BalancingState(method, self.outputs_layer.tasks, constants)

    def _balancer_of(self, state: BalancingState | None) -> Balancer | None:
        """Makes what balances by a state, or raises if there is nothing to balance."""
        if state is None:
            return None
        if not isinstance(state.method, GradientBalancing):
            return Balancer(state)
        self.task_gradients().check(state.method.at)
        return Balancer(state, self.task_gradients())

    def record_gradients(self, *, at: str, every: int) -> GradientRecorder:
        """Starts to record how the gradients of tasks agree in training.

        Args:
            at: Where they are taken, see `kmtl.balancing.GradientBalancing`.
            every: In which steps: one in so many.

        Returns:
            What records. `stop_recording` and the next `fit` end it.

        Raises:
            ValueError: If tasks share nothing there.
        """
        self.task_gradients().check(at)
        names = [task.name for task in self.outputs_layer.tasks]
        self._recorder = GradientRecorder(
            self.task_gradients(), names, at=at, every=every
        )
        self.train_function = None  # recording is part of the traced step
        return self._recorder

    def record_affinity(self, *, every: int, step_size: float | None) -> LookAhead:
        """Starts to measure what steps for single tasks do to the losses of all.

        Args:
            every: In which steps: one in so many.
            step_size: How far a step goes along the gradient of a task; `None` for the
                learning rate.

        Returns:
            What records. `stop_recording` and the next `fit` end it.

        Raises:
            ValueError: If tasks share no weights, or there are several replicas.
        """
        if self.task_gradients().place is None:
            raise ValueError(
                "Affinity is measured at trained weights that tasks share, and this "
                "model has none: each task has weights of its own, as with "
                "`kmtl.sharing.Soft`, or all others are frozen. Measure it on a model "
                "with another sharing, such as `kmtl.sharing.Hard()`; "
                "`kmtl.analysis.label_correlation` needs no shared weights."
            )
        replicas = self.distribute_strategy.num_replicas_in_sync
        if replicas > 1:
            raise ValueError(
                "Affinity is measured on one device; build the model outside of the "
                f"scope of a distribution strategy. Received: {replicas} replicas."
            )
        names = [task.name for task in self.outputs_layer.tasks]
        self._look_ahead = LookAhead(
            self.task_gradients(), names, every=every, step_size=step_size
        )
        self.train_function = None  # measuring is part of the traced step
        return self._look_ahead

    def stop_recording(self) -> None:
        """Ends the recording of gradients and of affinity, if there is one."""
        if self._recorder is not None or self._look_ahead is not None:
            self._recorder = self._look_ahead = None
            self.train_function = None

    @property
    def _balances_gradients(self) -> bool:
        return self._balancer is not None and self._balancer.gradients is not None

    @property
    def _reads_tape_often(self) -> bool:
        records = self._recorder is not None or self._look_ahead is not None
        return self._balances_gradients or records

    def _recorded(
        self, tape: tf.GradientTape, losses: StepLosses, penalty: Tensor
    ) -> Recorded:
        scale = self.optimizer.scale_loss(tf.ones((), losses.means.dtype))
        factors = self.outputs_layer.loss_weights.value * scale
        return Recorded(tape, losses.means, penalty, losses.inner, factors, scale)

    def _looked_ahead(
        self,
        recorded: Recorded,
        losses: StepLosses,
        x: Any,
        y: Any,
        seeds: list[tuple[Any, Tensor]],
    ) -> Recorded:
        """Measures the affinity of tasks, where it is recorded, before the update."""
        if self._look_ahead is None:
            return recorded

        def losses_at(weights: list[tuple[Any, Tensor]]) -> Tensor:
            return self._losses_with(x, y, [*seeds, *weights])

        rate = self.optimizer.learning_rate
        measured = self._look_ahead.update(recorded, losses.has_labels, rate, losses_at)
        # The updates of weights wait for it, as in `TaskGradients.plain`.
        with tf.control_dependencies([measured]):
            return replace(recorded, factors=tf.identity(recorded.factors))

    def _weigh(self, recorded: Recorded, losses: StepLosses) -> Weighed | None:
        """Asks the balancing method, if there is one, for the weights of the tasks."""
        if self._recorder is not None:
            self._recorder.update(recorded)
        if self._balancer is None:
            return None
        more = {}
        constant_losses = self._balancer.state.constant_losses
        if constant_losses is not None:
            constants = constant_losses.update(losses.batches)
            more["constant_losses"] = tf.cast(constants, "float64")
        present = tf.logical_and(losses.has_labels, recorded.factors > 0)
        return self._balancer.weigh(recorded, present, **more)

    def _gradients(
        self, recorded: Recorded, weighed: Weighed | None, variables: Sequence[Any]
    ) -> list[Any]:
        """The gradients of an update, one a variable."""
        if self._balances_gradients:
            gradients = self._balancer.update(recorded, weighed)
            pairs = zip(self.trainable_variables, gradients, strict=True)
            by_variable = {id(variable): gradient for variable, gradient in pairs}
            return [by_variable[id(variable)] for variable in variables]
        factors = recorded.factors
        if weighed is not None:
            factors = factors * tf.cast(weighed.weights, factors.dtype)
        return recorded.tape.gradient(
            [recorded.losses, recorded.penalty],
            # The values: a `keras.Variable` is no argument of a tape.
            [v.value for v in variables],
            output_gradients=[factors, recorded.scale],
        )

    def _seeds(self) -> list[tuple[Any, Tensor]]:
        """The states of random generators, where the forward pass is run twice."""
        if self._look_ahead is None and not self._sees_losses_after:
            return []
        weights = {id(weight) for weight in self.non_trainable_weights}
        others = [v for v in self.non_trainable_variables if id(v) not in weights]
        return [(v, tf.identity(v.value)) for v in others]

    def _finish(
        self,
        weighed: Weighed | None,
        x: Any,
        y: Any,
        seeds: list[tuple[Any, Tensor]],
    ) -> None:
        """Keeps what the method learnt of the step, after the optimizer's part."""
        if weighed is not None:
            self._balancer.finish(weighed, self._losses_after(x, y, seeds))

    def _losses_after(
        self, x: Any, y: Any, seeds: list[tuple[Any, Tensor]]
    ) -> Tensor | None:
        """The losses of the same batch after the step, for methods that ask for them.

        With the same dropout masks; the state of layers and the logs stay as they are.
        """
        return self._losses_with(x, y, seeds) if self._sees_losses_after else None

    @property
    def _sees_losses_after(self) -> bool:
        return self._balancer is not None and self._balancer.state.sees_losses_after

    def _losses_with(self, x: Any, y: Any, values: list[tuple[Any, Tensor]]) -> Tensor:
        """The losses of a training step, `(tasks,)`, where variables have values."""
        with keras.StatelessScope(state_mapping=values):
            return over_replicas(self._losses_of_tasks(x, y, training=True).means)
