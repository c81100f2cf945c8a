"""What tasks must keep to form one model."""

import graphlib
from collections.abc import Iterable, Mapping, Sequence, Set

from kmtl._checks import check_known_keys, check_unique, shorten
from kmtl.tasks._classification import BinaryTask
from kmtl.tasks._product import ProductTask
from kmtl.tasks._task import Task


def check_tasks(tasks: Sequence[Task]) -> tuple[Task, ...]:
    """Returns the tasks as a tuple, or raises when they cannot form one model.

    Raises:
        TypeError: If something in the sequence is not a task.
        ValueError: If there is no task, a name occurs twice, or a task refers to one
            that is not there, not of the right kind, or depends on it.
    """
    if isinstance(tasks, Task):
        tasks = [tasks]
    if isinstance(tasks, (str, Mapping, Set)) or not isinstance(tasks, Iterable):
        raise TypeError(f"`tasks` must be a list of tasks. Received: {tasks!r}.")
    tasks = tuple(tasks)
    if not tasks:
        raise ValueError("`tasks` must hold at least one task. Received: [].")
    for task in tasks:
        if not isinstance(task, Task):
            raise TypeError(
                "`tasks` must hold BinaryTask, MulticlassTask or RegressionTask "
                f"objects. Received: {task!r}."
            )
    check_unique([task.name for task in tasks], "names of tasks")
    if all(task.auxiliary for task in tasks):
        raise ValueError(
            "`tasks` must hold a task that is predicted. Received: only auxiliary "
            f"tasks, {shorten(t.name for t in tasks)}."
        )
    _check_references(tasks)
    _check_no_cycle(tasks)
    return tasks


def _check_references(tasks: Sequence[Task]) -> None:
    names = [task.name for task in tasks]
    binary = {task.name for task in tasks if isinstance(task, BinaryTask)}
    for task in tasks:
        only_if = () if task.only_if is None else (task.only_if,)
        factors = task.factors if isinstance(task, ProductTask) else ()
        check_known_keys(
            task.condition_on, names, f"condition_on of task {task.name!r}"
        )
        for field, others in (("only_if", only_if), ("factors", factors)):
            subject = f"{field} of task {task.name!r}"
            check_known_keys(others, names, subject)
            for other in others:
                if other == task.name or other not in binary:
                    raise ValueError(
                        f"`{subject}` must name another task, a binary one. "
                        f"Received: {other!r}."
                    )


def _check_no_cycle(tasks: Sequence[Task]) -> None:
    order = graphlib.TopologicalSorter({task.name: task.parents for task in tasks})
    try:
        order.prepare()
    except graphlib.CycleError as error:
        circle = " -> ".join(map(repr, error.args[1]))
        raise ValueError(
            "`condition_on` and `factors` of tasks must not lead back to the task they "
            f"start from. Received: {circle}."
        ) from error
