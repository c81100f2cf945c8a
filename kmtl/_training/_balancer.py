"""A balancing method at work in the training step of a model."""

from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from kmtl._replicas import over_replicas
from kmtl._training._balancing_state import BalancingState
from kmtl._training._recorded import Plain, Recorded
from kmtl._training._when_due import when_due
from kmtl._typing import Tensor
from kmtl.balancing import GradientBalancing, State, Step
from kmtl.metrics._gradient_record import GradientRecord
from kmtl.metrics._weight_means import WeightMeans


@dataclass(frozen=True)
class Weighed:
    """What became of a step.

    Attributes:
        step: What the method saw.
        weights: The weights of the tasks, `(tasks,)`.
        state: The new state of the method.
        gramian: Inner products of the tasks' gradients; 0 where they were not taken.
        plain: The backward pass of plain training, for methods by gradients.
    """

    step: Step
    weights: Tensor
    state: State
    gramian: Tensor | None = None
    plain: Plain | None = None


class Balancer:
    """Weighs the tasks of a model in every step.

    Args:
        state: The method and its state.
        gradients: Takes the gradients of the model by task, for methods that need them.
    """

    def __init__(self, state: BalancingState, gradients: Any = None) -> None:
        self.state = state
        self.gradients = gradients
        names = state.task_names
        self.weight_means = WeightMeans(names)
        self.gradient_record = None if gradients is None else GradientRecord(names)

    def weigh(self, recorded: Recorded, present: Tensor, **more: Any) -> Weighed:
        """Asks the method for weights.

        Args:
            recorded: The forward pass.
            present: Which tasks count, boolean, `(tasks,)`.
            **more: Other fields of the step.
        """
        step = self.state.step(over_replicas(recorded.losses), present, **more)
        method = self.state.method
        if not isinstance(method, GradientBalancing):
            return Weighed(step, *self.state.weigh(step))
        return self._weigh_by_gradients(recorded, step, method)

    def _weigh_by_gradients(
        self, recorded: Recorded, step: Step, method: GradientBalancing
    ) -> Weighed:
        plain = self.gradients.plain(recorded)
        if method.every == 1:  # else they are not there in every step
            plain = self.gradients.by_task(recorded, plain, method.at)

        def compute() -> tuple[Tensor, State, Tensor]:
            products = self.gradients.gramian(recorded, plain, method.at)
            weights, state = self.state.weigh(replace(step, gramian=products))
            return weights, state, products

        def keep() -> tuple[Tensor, State, Tensor]:
            none = tf.zeros(tuple(step.losses.shape) * 2, "float64")
            return self.state.last_weights(), self.state.now(), none

        weights, state, products = when_due(step.number, method.every, compute, keep)
        return Weighed(step, weights, state, products, plain)

    def update(self, recorded: Recorded, weighed: Weighed) -> list[Any]:
        """Returns the gradients of an update, one a trainable variable."""
        method: Any = self.state.method
        return self.gradients.update(
            recorded,
            weighed.plain,
            weighed.weights,
            weighted_heads=method.weighted_heads,
        )

    def finish(self, weighed: Weighed, losses_after: Tensor | None) -> None:
        """Keeps the new state, and records the step.

        Args:
            weighed: What became of the step.
            losses_after: The losses after the optimizer's step, for methods that learn
                from them.
        """
        state = weighed.state
        if losses_after is not None:
            state = self.state.after(weighed.step, losses_after, state)
        self.state.assign(weighed.weights, state)
        self.weight_means.update_state(weighed.weights, weighed.step.present)
        if self.gradient_record is not None:
            self.gradient_record.update_state(weighed.gramian)

    def result(self) -> dict[str, float]:
        """Returns the logs of the steps since the last reset, if there were any."""
        if not self.weight_means.has_steps:
            return {}
        logs = self.weight_means.result()
        return logs | (self.gradient_record.result() if self.gradient_record else {})

    def reset(self) -> None:
        """Forgets the logs."""
        self.weight_means.reset_state()
        if self.gradient_record is not None:
            self.gradient_record.reset_state()
