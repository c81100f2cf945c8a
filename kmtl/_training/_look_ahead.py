"""What a step for one task alone would do to the losses of all tasks."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kmtl._training._recorded import Recorded
from kmtl._training._task_gradients import TaskGradients
from kmtl._training._when_due import when_due
from kmtl._typing import Tensor
from kmtl.metrics._affinity_record import AffinityRecord

# From weights to the losses of a batch, `(tasks,)`; other weights stay as they are.
LossesAt = Callable[[list[tuple[Any, Tensor]]], Tensor]


class LookAhead:
    """Measures the affinity of tasks in one of so many steps.

    Args:
        gradients: Takes the gradients of the model by task.
        tasks: Names of the tasks.
        every: In which steps: one in so many.
        step_size: How far a step goes along the gradient; `None` for the learning rate.

    Attributes:
        record: Means over the measured steps.
    """

    def __init__(
        self,
        gradients: TaskGradients,
        tasks: list[str],
        *,
        every: int,
        step_size: float | None,
    ) -> None:
        self._gradients = gradients
        self._every = every
        self._step_size = step_size
        self._number = keras.Variable(0, dtype="int32", trainable=False)
        self.record = AffinityRecord(tasks)

    def update(
        self,
        recorded: Recorded,
        has_labels: Tensor,
        learning_rate: Any,
        losses_at: LossesAt,
    ) -> Tensor:
        """Measures a step if its turn has come.

        Args:
            recorded: The forward pass.
            has_labels: Which tasks have labels in it, boolean, `(tasks,)`.
            learning_rate: The optimizer's.
            losses_at: Computes the losses with other weights.

        Returns:
            What was measured, which is there once it no longer reads the weights.
        """
        rate = learning_rate if self._step_size is None else self._step_size

        def measure() -> Tensor:
            return self._affinity(recorded, has_labels, rate, losses_at)

        def leave() -> Tensor:
            return tf.fill(tuple(recorded.losses.shape) * 2, _nan(recorded.losses))

        affinity = when_due(self._number.value, self._every, measure, leave)
        self._number.assign_add(1)
        self.record.update_state(affinity)
        return affinity

    def reset(self) -> None:
        """Forgets the steps measured so far; the next one is measured."""
        self._number.assign(0)
        self.record.reset_state()

    def _affinity(
        self, recorded: Recorded, has_labels: Tensor, rate: Any, losses_at: LossesAt
    ) -> Tensor:
        """`(before - after) / |before|` of losses, `(tasks that step, tasks)`."""
        losses = recorded.losses

        def after_step_of(one: Tensor) -> Tensor:
            gradients = self._gradients.of_task(recorded, one)
            moved = [
                (variable, variable.value - tf.cast(rate, g.dtype) * g)
                for variable, g in gradients
            ]
            return tf.cast(losses_at(moved), losses.dtype)

        # In a loop: as many copies of the model in one graph would take long to trace.
        after = tf.map_fn(
            after_step_of,
            tf.eye(losses.shape[0], dtype=losses.dtype),
            parallel_iterations=1,
        )
        steps = tf.logical_and(has_labels, recorded.factors > 0)
        judged = tf.logical_and(has_labels, losses != 0)
        counts = tf.logical_and(steps[:, None], judged[None, :])
        before = tf.where(judged, losses, tf.ones_like(losses))
        # Not 1 - after / before: of a loss below 0 that has the wrong sign.
        return tf.where(counts, (before - after) / tf.abs(before), _nan(losses))


def _nan(like: Tensor) -> Tensor:
    return tf.constant(float("nan"), like.dtype)
