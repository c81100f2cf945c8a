"""The best way to share tasks out among a few networks."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from kmtl._checks import (
    check_choice,
    check_flag,
    check_number,
    check_positive_integer,
    check_unique,
    shorten,
)
from kmtl.analysis._group_search import Gain, best_grouping, gains_in
from kmtl.analysis._task_affinity import TaskAffinity


@dataclass(frozen=True, eq=False)
class TaskGroups:
    """What `suggest_groups` returns.

    Attributes:
        groups: The names of the tasks that each network is trained on. In a partition
            they are what `kmtl.sharing.Branched` takes.
        served: The names of the tasks that each network is used for; the same, unless
            groups overlap.
        gains: The predicted gain of each task, by name, in the unit of the affinity.
    """

    groups: tuple[tuple[str, ...], ...]
    served: tuple[tuple[str, ...], ...]
    gains: pd.Series

    @property
    def total_gain(self) -> float:
        """The sum of the gains of all tasks."""
        return float(self.gains.sum())


def suggest_groups(
    affinity: TaskAffinity | pd.DataFrame,
    *,
    groups: int,
    gain: Literal["mean", "sum"] = "mean",
    overlapping: bool = False,
    alone: float = 0.0,
) -> TaskGroups:
    """Finds the best grouping of tasks into at most so many networks.

    The predicted gain of a task in a group is the mean affinity of the others to it, or
    the sum; the grouping with the largest sum over tasks is the best. Up to 14 tasks it
    is found for certain, above that by local searches from several starts; 100 tasks
    take a few seconds.

    Predicted gains say which grouping is worth training, not what it will gain.

    Args:
        affinity: What `task_affinity` returns, or any square frame, its rows tasks that
            help, its columns tasks that are helped, with the same names in the same
            order; the diagonal is not looked at.
        groups: How many networks at most. Fewer are suggested if that is better.
        gain: `"mean"` counts how much the others of a group help, as in the paper;
            `"sum"` also how many they are: a step for a group is the sum of those for
            its tasks, and so is its effect on one of them, to first order. The mean
            finds tasks that are alike, even in a trunk too narrow for all. Where a
            trunk has room, tasks gain more the more others help, and the sum predicts
            that much better; see `docs/results.md`.
        overlapping: Whether a task may also be trained in networks that it is not used
            in, to help others, as in the paper. By default every task is in one group.
        alone: The gain of a task that has a network of its own. A number far below all
            affinities, such as -1e6, allows that for no task, as in the paper.

    Returns:
        The groups, the largest first, and their predicted gains.

    Raises:
        TypeError: If `affinity` is no frame.
        ValueError: If it is not square, rows and columns have not the same names, a
            value is missing, or another argument is wrong.

    Example:
        >>> import kmtl, pandas as pd
        >>> names = ["rich", "poor", "tall"]
        >>> values = [[0, 2, -1], [1, 0, -1], [-1, -1, 0]]
        >>> affinity = pd.DataFrame(values, names, names)
        >>> found = kmtl.analysis.suggest_groups(affinity, groups=2)
        >>> found.groups, found.total_gain
        ((('rich', 'poor'), ('tall',)), 3.0)
        >>> sharing = kmtl.sharing.Branched(found.groups)

    Reference:
        Fifty et al., "Efficiently Identifying Task Groupings for Multi-Task Learning",
        NeurIPS 2021, https://arxiv.org/abs/2109.04617, section 3.2. There groups
        overlap, and there are as many as asked for.
    """
    frame = _checked_affinity(affinity)
    check_positive_integer(groups, "groups")
    check_choice(gain, ("mean", "sum"), "gain")
    check_flag(overlapping, "overlapping")
    check_number(alone, "alone")
    values, kind = _without_diagonal(frame), Gain(alone, mean=gain == "mean")
    members, served = best_grouping(
        values, min(groups, len(values)), overlapping=overlapping, gain=kind
    )
    names = np.asarray(list(frame), dtype=object)
    gains = gains_in(values, members, kind).max(axis=0)
    order = np.lexsort((members.argmax(axis=1), -members.sum(axis=1)))
    return TaskGroups(
        tuple(tuple(names[members[g]].tolist()) for g in order),
        tuple(tuple(names[served[g]].tolist()) for g in order),
        pd.Series(gains, list(frame), name="predicted gain"),
    )


def _checked_affinity(affinity: Any) -> pd.DataFrame:
    if isinstance(affinity, TaskAffinity):
        affinity = affinity.affinity
    if not isinstance(affinity, pd.DataFrame):
        raise TypeError(
            "`affinity` must be what `task_affinity` returns, or a DataFrame of tasks "
            f"by tasks. Received: {type(affinity).__name__}."
        )
    rows, columns = list(affinity.index), list(affinity)
    if rows != columns or not rows:
        raise ValueError(
            "`affinity` must have the same tasks as rows and as columns, in the same "
            f"order. Received: rows {shorten(rows)}, columns {shorten(columns)}. Use "
            "`affinity.loc[names, names]`."
        )
    check_unique(rows, "affinity")
    return affinity


def _without_diagonal(frame: pd.DataFrame) -> np.ndarray:
    """The values of pairs as numbers; 0 on the diagonal.

    Raises:
        ValueError: If one is missing or infinite.
    """
    values = frame.to_numpy(dtype="float64", copy=True)
    np.fill_diagonal(values, 0.0)
    unknown = np.argwhere(~np.isfinite(values))
    if len(unknown):
        names = list(frame)
        pairs = [(names[i], names[j]) for i, j in unknown]
        raise ValueError(
            "`affinity` must be a number for every pair. Received: none for "
            f"{shorten(pairs, 6)}, which were never labelled in one measured batch, or "
            "whose first has a loss weight of 0. Measure with larger batches or a "
            "smaller `every`, or say that they do nothing to each other: "
            "`affinity.fillna(0.0)`."
        )
    return values
