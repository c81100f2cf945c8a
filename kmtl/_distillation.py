"""Keeping the outputs of another model: learning without forgetting."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras import ops

from kmtl._head_groups import conditions
from kmtl._typing import Tensor
from kmtl.layers import TaskOutputs
from kmtl.tasks import BinaryTask, MulticlassTask, Task

# That of the paper: soft probabilities say more of the classes that are not the first.
_TEMPERATURE = 2.0


@dataclass(frozen=True)
class Distillation:
    """A loss that keeps the outputs of tasks near those of a teacher.

    It is no part of a saved model.

    Attributes:
        teacher: A model with some of the tasks, in the same head groups.
        weight: Factor of the loss.
    """

    teacher: Any
    weight: float

    def loss(
        self,
        x: Any,
        given: Tensor | None,
        student: TaskOutputs,
        logits: Sequence[Tensor],
    ) -> Tensor:
        """Returns the weighted loss: a sum over tasks of means over rows.

        The divergence of the probabilities at temperature 2, which is the paper's cross
        entropy without the entropy of the teacher; for numbers the squared distance in
        training units.

        Args:
            x: Inputs by name.
            given: Labels that heads of the student see, see `Objective.given`.
            student: The output layer of the student.
            logits: The student's stacked logits, one a head group.
        """
        teacher = self.teacher.outputs_layer
        targets = self.teacher.logits(
            x, training=False, given=_known(given, student, teacher)
        )
        ours = _by_members(student, logits)
        kinds = {task.name: task for task in teacher.tasks}
        parts = [
            _distance(kinds[names[0]], ops.stop_gradient(target), ours[names])
            for names, target in _by_members(teacher, targets).items()
        ]
        return self.weight * sum(parts)


def _by_members(
    layer: TaskOutputs, logits: Sequence[Tensor]
) -> dict[tuple[str, ...], Tensor]:
    """Stacked logits `(batch, tasks, ..., units)` by the names of a group's tasks."""
    return {
        tuple(task.name for task in group.members(layer.tasks)): tensor
        for group, tensor in zip(layer.groups, layer.stack(logits), strict=True)
    }


def _known(
    given: Tensor | None, student: TaskOutputs, teacher: TaskOutputs
) -> Tensor | None:
    """The labels that heads of the teacher see too."""
    seen = [teacher.tasks[i].name for i in conditions(teacher.tasks)]
    if given is None or not seen:
        return None
    columns = [student.tasks[i].name for i in conditions(student.tasks)]
    return ops.take(given, [columns.index(name) for name in seen], axis=-1)


def _distance(task: Task, target: Tensor, logits: Tensor) -> Tensor:
    """Sum over the tasks of a group `(batch, tasks, ..., units)` of means over rows."""
    if isinstance(task, BinaryTask):
        log = ops.log_sigmoid
        target, logits = target / _TEMPERATURE, logits / _TEMPERATURE
        rows = ops.sigmoid(target) * (log(target) - log(logits))
        rows = rows + ops.sigmoid(-target) * (log(-target) - log(-logits))
    elif isinstance(task, MulticlassTask):
        target, logits = target / _TEMPERATURE, logits / _TEMPERATURE
        gap = ops.log_softmax(target) - ops.log_softmax(logits)
        rows = ops.sum(ops.softmax(target) * gap, axis=-1)
    else:
        rows = ops.square(target - logits)
    axes = [axis for axis in range(len(rows.shape)) if axis != 1]
    return ops.sum(ops.mean(rows, axis=axes))
