"""What becomes of the names of slices when a task comes or goes."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from kmtl._typing import Config
from kmtl.layers._stacked import owner_of

SliceChange: TypeAlias = Callable[[Sequence[str]], list[str]]

# What a layer's config says by names of slices.
_SLICES = ("tasks", "experts", "sources", "receivers")


def changed_slices(config: Config, change: SliceChange) -> Config:
    """Returns the entries of a layer's config that name slices, changed."""
    return {key: change(config[key]) for key in _SLICES if config.get(key)}


def unchanged(names: Sequence[str]) -> list[str]:
    """Returns the names as they are."""
    return list(names)


def added(tasks: Sequence[str], new: str) -> SliceChange:
    """Returns the change that gives a new task the slices that another task has.

    `["a/0", "a/1", "/0"]` becomes `["a/0", "a/1", "new/0", "new/1", "/0"]`. Names that
    are no task's stay as they are.

    Args:
        tasks: Names of the tasks so far.
        new: Name of the new one.
    """

    def change(names: Sequence[str]) -> list[str]:
        owners = [owner_of(name) for name in names]
        last = next((owner for owner in reversed(owners) if owner in tasks), None)
        if last is None:
            return list(names)
        places = [place for place, owner in enumerate(owners) if owner == last]
        copies = [new + names[place].removeprefix(last) for place in places]
        end = places[-1] + 1
        return [*names[:end], *copies, *names[end:]]

    return change


def removed(*gone: str) -> SliceChange:
    """Returns the change that drops the slices of some tasks, or some slices."""
    return lambda names: [
        name for name in names if owner_of(name) not in gone and name not in gone
    ]


def disowned(task: str, known: Sequence[str]) -> SliceChange:
    """Returns the change that leaves the slices of a task, as nobody's.

    Args:
        task: Name of the task. The slices are then called `"(task)"`, which no task
            can be.
        known: Slices so far, which may have come to such a name before.
    """
    free = f"({task})"
    while free in map(owner_of, known):
        free = f"({free})"
    return lambda names: [
        free + name.removeprefix(task) if owner_of(name) == task else name
        for name in names
    ]
