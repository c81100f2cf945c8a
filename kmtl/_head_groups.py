"""Head groups: tasks whose heads have the same form and run as one stack."""

import dataclasses
import graphlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from kmtl._typing import Config
from kmtl.tasks import ProductTask, Task


@dataclass(frozen=True)
class HeadGroup:
    """Tasks of one kind whose heads have the same form.

    Attributes:
        indices: Positions of the tasks among all tasks.
        units: Width of the output of each head; 0 for a head of a task's own.
        hidden: Widths of the hidden layers of each head.
        own: Whether this is one task with a head of its own, or without a head.
        parents: Positions of the tasks whose outputs the heads need.
    """

    indices: tuple[int, ...]
    units: int
    hidden: tuple[int, ...]
    own: bool
    parents: tuple[int, ...] = ()

    @property
    def stem(self) -> str:
        """First part of the names of the layers of the heads."""
        return f"head_{self.indices[0]}"

    def get_config(self) -> Config:
        """Returns the fields as plain data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: Config) -> "HeadGroup":
        """Rebuilds a group from `get_config`, also after a way through JSON."""
        return cls(
            indices=tuple(config["indices"]),
            units=config["units"],
            hidden=tuple(config["hidden"]),
            own=config["own"],
            parents=tuple(config["parents"]),
        )

    def members(self, tasks: Sequence[Task]) -> tuple[Task, ...]:
        """The tasks of the group, out of all tasks."""
        return tuple(tasks[i] for i in self.indices)


def group_heads(
    tasks: Sequence[Task],
    head_units: Sequence[int],
    stages: Sequence[Hashable] | None = None,
) -> tuple[HeadGroup, ...]:
    """Collects tasks with heads of the same form.

    The form is the kind of task, the units, the hidden layers, what the head is
    attached to and which other tasks it sees.

    Args:
        tasks: The tasks, with known classes.
        head_units: Hidden widths for tasks that name none.
        stages: For each task the name of what its head is attached to; the same for
            all by default.

    Returns:
        The groups, after the groups whose outputs they need, else in the order of
        their first task.
    """
    stages = [None] * len(tasks) if stages is None else stages
    positions = {task.name: index for index, task in enumerate(tasks)}
    members: dict[Any, list[int]] = {}
    for index, (task, stage) in enumerate(zip(tasks, stages, strict=True)):
        alone = index if _is_own(task) else None
        form = (stage, type(task), task.parents, _hidden(task, head_units), alone)
        units = 0 if _is_own(task) else task.units
        members.setdefault((units, *form), []).append(index)
    groups = [
        HeadGroup(
            indices=tuple(indices),
            units=units,
            hidden=hidden,
            own=alone is not None,
            parents=tuple(positions[name] for name in parents),
        )
        for (units, _, _, parents, hidden, alone), indices in members.items()
    ]
    generations = _generations(tasks)
    return tuple(
        sorted(groups, key=lambda g: (generations[g.indices[0]], g.indices[0]))
    )


def group_of(tasks: Sequence[Task], index: int, head_units: Sequence[int]) -> HeadGroup:
    """Returns a group of one task.

    Args:
        tasks: The tasks, with known classes.
        index: Position of the task.
        head_units: Widths of its hidden layers, where it names none.
    """
    task = tasks[index]
    names = [other.name for other in tasks]
    return HeadGroup(
        indices=(index,),
        units=0 if _is_own(task) else task.units,
        hidden=_hidden(task, head_units),
        own=_is_own(task),
        parents=tuple(names.index(name) for name in task.parents),
    )


def conditions(tasks: Sequence[Task]) -> tuple[int, ...]:
    """Positions of the tasks whose labels the heads of others see in training."""
    names = {name for task in tasks for name in task.condition_on}
    return tuple(i for i, task in enumerate(tasks) if task.name in names)


def condition_name(group: HeadGroup) -> str:
    """Names the layer that appends what is known of parents to what the heads see."""
    return f"{group.stem}_condition"


def _is_own(task: Task) -> bool:
    return task.head is not None or isinstance(task, ProductTask)


def _hidden(task: Task, head_units: Sequence[int]) -> tuple[int, ...]:
    if _is_own(task):
        return ()
    return tuple(head_units if task.head_units is None else task.head_units)


def _generations(tasks: Sequence[Task]) -> list[int]:
    """For each task the length of the longest chain of parents above it."""
    by_name = {task.name: task for task in tasks}
    known: dict[str, int] = {}
    for name in graphlib.TopologicalSorter(
        {task.name: task.parents for task in tasks}
    ).static_order():
        above = [known[parent] for parent in by_name[name].parents]
        known[name] = 1 + max(above, default=-1)
    return [known[task.name] for task in tasks]
