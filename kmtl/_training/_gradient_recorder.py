"""Records how the gradients of tasks agree while a model trains, whatever weighs it."""

import keras
import tensorflow as tf

from kmtl._training._recorded import Recorded
from kmtl._training._task_gradients import TaskGradients
from kmtl._training._when_due import when_due
from kmtl._typing import Tensor
from kmtl.metrics._gradient_record import ConditionRecord, GradientRecord


class GradientRecorder:
    """Takes the Gramian of the tasks in one of so many steps.

    Args:
        gradients: Takes the gradients of the model by task.
        tasks: Names of the tasks.
        at: `"representation"` or `"shared"`.
        every: In which steps: one in so many.

    Attributes:
        record: Means over the recorded steps.
        condition: That of the condition number of the Gramian.
    """

    def __init__(
        self, gradients: TaskGradients, tasks: list[str], *, at: str, every: int
    ) -> None:
        self._gradients = gradients
        self._at = at
        self._every = every
        self._number = keras.Variable(
            0, dtype="int32", trainable=False, aggregation="only_first_replica"
        )
        self.record = GradientRecord(tasks)
        self.condition = ConditionRecord()

    def update(self, recorded: Recorded) -> None:
        """Records a step if its turn has come."""

        def compute() -> Tensor:
            plain = self._gradients.plain(recorded)
            return self._gradients.gramian(recorded, plain, self._at)

        def leave() -> Tensor:
            return tf.zeros(tuple(recorded.losses.shape) * 2, "float64")

        products = when_due(self._number.value, self._every, compute, leave)
        self._number.assign_add(1)
        self.record.update_state(products)
        self.condition.update_state(products)

    def reset(self) -> None:
        """Forgets the steps recorded so far; the next one is recorded."""
        self._number.assign(0)
        self.record.reset_state()
        self.condition.reset_state()
