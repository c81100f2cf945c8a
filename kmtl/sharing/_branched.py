"""Groups of tasks that part ways inside a network."""

import itertools
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from kmtl._checks import check_known_keys, check_unique, shorten
from kmtl._typing import Tensor
from kmtl.layers import CopyForTasks, SharedTensor, TakeTasks
from kmtl.layers._per_task import draw_seed
from kmtl.sharing._stages import check_stage, stage_index
from kmtl.tasks import Task
from kmtl.trunks import Inputs, Single, Stack, Trunk


@dataclass(frozen=True)
class Branched:
    """The first stages for all tasks, the rest of the trunk once for each group.

    Related tasks share longer. One group of all tasks is hard sharing; groups of one
    task and no shared stage are independent networks.

    Args:
        groups: Lists of task names, each task in one. By default each task is a group
            of its own.
        shared_stages: How many stages of the trunk all tasks share; negative numbers
            count from the end. By default all but the last, so that a trunk of one
            stage is not shared at all between groups.

    Reference:
        Vandenhende et al., "Branched Multi-Task Networks: Deciding What Layers To
        Share", BMVC 2020, https://arxiv.org/abs/1904.02920, with one point at which
        all groups part.

    Example:
        >>> import keras, kmtl
        >>> trunk, inputs = kmtl.trunks.MLP([16, 8]), keras.Input((8,))
        >>> tasks = [kmtl.BinaryTask(name) for name in ("age", "rich", "poor")]
        >>> sharing = kmtl.sharing.Branched([["rich", "poor"], ["age"]])
        >>> sharing(trunk, inputs, tasks).shape
        (None, 3, 8)
    """

    groups: Sequence[Sequence[str]] | None = None
    _: KW_ONLY
    shared_stages: int | None = None

    def __post_init__(self) -> None:
        if self.shared_stages is not None:
            check_stage(self.shared_stages, "shared_stages")
        if self.groups is None:
            return
        for group in self.groups:
            if isinstance(group, str) or not isinstance(group, Sequence) or not group:
                raise ValueError(
                    "`groups` must be lists of task names, such as [['a', 'b'], "
                    f"['c']]. Received: {group!r}."
                )
        check_unique(itertools.chain(*self.groups), "groups")
        object.__setattr__(self, "groups", tuple(map(tuple, self.groups)))

    def __call__(self, trunk: Trunk, inputs: Inputs, tasks: Sequence[Task]) -> Tensor:
        """Builds the shared stages and the branches.

        Args:
            trunk: The form of a path from the inputs to a representation.
            inputs: A symbolic tensor or a dict of them.
            tasks: The tasks.

        Returns:
            Symbolic tensor `(batch, ..., tasks, features)`.

        Raises:
            ValueError: If `groups` lacks a task or names an unknown one, or if the
                trunk has too few stages.
        """
        names = [task.name for task in tasks]
        groups = self._groups(names)
        copies = [_copy_name(group) for group in groups]
        kit = Single()
        shared = trunk.stages(kit)
        count = self._shared_count(len(shared))
        x = inputs
        for stage in shared[:count]:
            x = stage(x)
        # All tasks meet where the groups part; only without that, those of a group.
        if count:
            x = SharedTensor(name="shared")(x)
            x = CopyForTasks(tasks=copies, name="branches")(x)
        x = _branches(trunk, x, groups, count)
        if not count and max(map(len, groups)) > 1:
            x = SharedTensor(name="shared")(x)
        branch_of = {name: _copy_name(group) for group in groups for name in group}
        taken = [branch_of[name] for name in names]
        return TakeTasks(taken, tasks=copies, name="branch_of")(x)

    def _groups(self, names: Sequence[str]) -> list[Sequence[str]]:
        if self.groups is None:
            return [[name] for name in names]
        grouped = list(itertools.chain(*self.groups))
        check_known_keys(grouped, names, "groups")
        missing = [name for name in names if name not in grouped]
        if missing:
            raise ValueError(
                f"`groups` must hold every task. Received: groups={self.groups!r}. "
                f"Missing: {shorten(missing)}. Add them to a group, or as groups of "
                "their own."
            )
        return list(self.groups)

    def _shared_count(self, stages: int) -> int:
        if self.shared_stages is None:
            return stages - 1
        return stage_index(self.shared_stages, stages, "shared_stages")


def _branches(
    trunk: Trunk, x: Inputs, groups: Sequence[Sequence[str]], first: int
) -> Tensor:
    """Applies the stages from `first` on, with a copy a group."""
    kit = Stack([_copy_name(g) for g in groups], seed=draw_seed(), per_copy=first > 0)
    for stage in trunk.stages(kit)[first:]:
        x = stage(x)
    return trunk.finish(kit, x)


def _copy_name(group: Sequence[str]) -> str:
    """A task that is alone owns its copy; any other copy belongs to no task."""
    return group[0] if len(group) == 1 else "/" + "+".join(sorted(group))
