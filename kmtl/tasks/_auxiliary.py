"""Tasks that only help to train the others."""

import dataclasses
from typing import TypeVar

from kmtl.tasks._task import Task

AnyTask = TypeVar("AnyTask", bound=Task)


def AuxiliaryTask(task: AnyTask) -> AnyTask:  # noqa: N802 - reads as a kind of task
    """Makes a task that trains with the model and is then left out.

    Its losses and metrics are logged like those of the others, but it is no output:
    neither `predict` nor an exported model has it. Such a hint, an easier question
    about the same inputs, can lead the shared layers to features that the other tasks
    need; one that has nothing to do with them costs accuracy.

    Args:
        task: The task, of any kind.

    Returns:
        The same task with `auxiliary=True`.

    Raises:
        TypeError: If `task` is no task.

    Reference:
        Caruana, "Multitask Learning", Machine Learning 28, 1997, section 3.2.

    Example:
        >>> import kmtl
        >>> hint = kmtl.AuxiliaryTask(kmtl.RegressionTask("hint"))
        >>> model = kmtl.build_mtl_model((8,), [kmtl.BinaryTask("sign"), hint])
        >>> list(model.output), model.task_names
        (['sign'], ['sign', 'hint'])
    """
    if not isinstance(task, Task):
        raise TypeError(
            "`AuxiliaryTask` takes a task such as `kmtl.RegressionTask('hint')`. "
            f"Received: {task!r}."
        )
    return dataclasses.replace(task, auxiliary=True)
