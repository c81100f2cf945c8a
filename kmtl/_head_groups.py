"""Head groups: tasks whose heads have the same form and run as one stack."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from kmtl._typing import Config
from kmtl.tasks import Task


@dataclass(frozen=True)
class HeadGroup:
    """Tasks of one kind whose heads have the same form.

    Attributes:
        indices: Positions of the tasks among all tasks.
        units: Width of the output of each head; 0 for a head of a task's own.
        hidden: Widths of the hidden layers of each head.
        own: Whether this is one task with a head of its own.
    """

    indices: tuple[int, ...]
    units: int
    hidden: tuple[int, ...]
    own: bool

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
        )

    def members(self, tasks: Sequence[Task]) -> tuple[Task, ...]:
        """The tasks of the group, out of all tasks."""
        return tuple(tasks[i] for i in self.indices)


def group_heads(
    tasks: Sequence[Task], head_units: Sequence[int]
) -> tuple[HeadGroup, ...]:
    """Collects tasks with heads of the same form (kind, units, hidden layers).

    Args:
        tasks: The tasks, with known classes.
        head_units: Hidden widths for tasks that name none.

    Returns:
        The groups in the order of their first task.
    """
    members: dict[tuple[type[Task], int, tuple[int, ...]], list[int]] = {}
    groups = []
    for index, task in enumerate(tasks):
        if task.head is not None:
            groups.append(HeadGroup((index,), units=0, hidden=(), own=True))
            continue
        hidden = head_units if task.head_units is None else task.head_units
        key = (type(task), task.units, tuple(hidden))
        members.setdefault(key, []).append(index)
    for (_, units, widths), indices in members.items():
        groups.append(HeadGroup(tuple(indices), units, widths, own=False))
    return tuple(sorted(groups, key=lambda group: group.indices[0]))
