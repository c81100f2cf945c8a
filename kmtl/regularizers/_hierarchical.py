"""Tasks in groups that are known."""

from collections.abc import Mapping, Sequence
from typing import Self

import keras
import numpy as np

from kmtl._checks import as_tuple, check_mapping, check_unique, check_weight
from kmtl._typing import Config, Tensor
from kmtl.regularizers._base import TaskRegularizer
from kmtl.regularizers._weights import as_stack, check_covers, quadratic, tasks_of


@keras.saving.register_keras_serializable(package="kmtl")
class Hierarchical(TaskRegularizer):
    """Draws each task to the mean of its group, and those to a global mean.

    `within * sum_t ||w_t - m_group(t)||^2 + between * sum_g ||m_g - m||^2`, where the
    means `m_g` and `m` are those that make it least: it is the negative log density of
    the Gaussian prior global mean -> group mean -> task. With `n_g` tasks in group `g`
    and `w_g` their plain mean that is

        within * sum_t ||w_t - w_group(t)||^2 + sum_g c_g ||w_g - m||^2,
        c_g = within * between * n_g / (within * n_g + between),

    with `m` the mean of the `w_g` weighted by `c_g`. A large `between` gives
    `MeanL2`, 0 leaves the groups independent.

    Args:
        strength: Factor of the penalty, at least 0.
        groups: Names of the tasks by name of group; each task in one group. All tasks
            in one group by default, which is `MeanL2`. Names beyond the tasks of the
            weights are left out.
        within: Weight of the distances of tasks to the mean of their group.
        between: Weight of the distances of these means to the global one.
        tasks: Names of the tasks in the order of the weights. `kmtl.sharing.Soft`
            fills it in.

    Raises:
        ValueError: If groups overlap or leave a task out, or a weight is negative.

    Example:
        >>> import kmtl, numpy as np
        >>> regularizer = kmtl.regularizers.Hierarchical(
        ...     groups={"north": ["a", "b"], "south": ["c"]},
        ...     between=0.0,
        ...     tasks=["a", "b", "c"],
        ... )
        >>> float(regularizer.penalty(np.array([[1.0], [3.0], [9.0]])))
        2.0

    Reference:
        Bakker and Heskes, "Task Clustering and Gating for Bayesian Multitask Learning",
        JMLR 4, 2003, https://www.jmlr.org/papers/v4/bakker03a.html. For groups of one
        size `n` it is the penalty of Jacob, Bach and Vert, "Clustered Multi-Task
        Learning", NeurIPS 2008, https://arxiv.org/abs/0809.2085, with known clusters,
        `e_W = within` and `e_B = c_g / n`, without its term of the global mean.
    """

    def __init__(
        self,
        strength: float = 1e-3,
        *,
        groups: Mapping[str, Sequence[str]] | None = None,
        within: float = 1.0,
        between: float = 1.0,
        tasks: Sequence[str] | None = None,
    ) -> None:
        super().__init__(strength)
        check_weight(within, "within")
        check_weight(between, "between")
        self.groups = None if groups is None else _checked(groups)
        self.within = float(within)
        self.between = float(between)
        self.tasks = None if tasks is None else tuple(tasks)
        if self.tasks is not None and self.groups is not None:
            check_covers(self.tasks, _members(self.groups), "groups")

    def penalty(self, weights: Tensor) -> Tensor:
        stack = as_stack(weights)
        return quadratic(self._root(self._membership(stack)), stack)

    def _root(self, member: np.ndarray) -> np.ndarray:
        """Returns `R` such that the penalty is `||R W||^2`."""
        sizes = member.sum(axis=0)  # (g,)
        averages = (member / sizes).T  # (g, t)
        pulls = self.within * self.between * sizes
        pulls /= np.maximum(self.within * sizes + self.between, np.finfo(float).tiny)
        shares = pulls / (pulls.sum() or 1.0)
        apart = np.eye(len(member)) - member @ averages  # (t, t)
        groups_apart = averages - shares @ averages  # (g, t)
        return np.concatenate(
            [np.sqrt(self.within) * apart, np.sqrt(pulls)[:, None] * groups_apart]
        )

    def _membership(self, stack: Tensor) -> np.ndarray:
        """Returns 1 where a task is in a group, `(tasks, groups)`, no group empty."""
        if self.groups is None:
            return np.ones((stack.shape[0], 1))
        tasks = tasks_of(stack, self.tasks, "groups")
        table = np.array(
            [[name in group for group in self.groups.values()] for name in tasks],
            dtype="float64",
        )
        return table[:, table.any(axis=0)]

    def for_tasks(self, names: Sequence[str]) -> Self:
        """Returns the regularizer for weights of these tasks, in this order."""
        return type(self)(**{**self.get_config(), "tasks": names})

    def get_config(self) -> Config:
        """Returns the arguments of the constructor."""
        return {
            **super().get_config(),
            "groups": self.groups and {k: list(v) for k, v in self.groups.items()},
            "within": self.within,
            "between": self.between,
            "tasks": self.tasks and list(self.tasks),
        }


def _checked(groups: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    check_mapping(groups, "groups", "lists of task names by group")
    checked = {name: as_tuple(v, f"groups[{name!r}]") for name, v in groups.items()}
    check_unique(_members(checked), "groups")
    return checked


def _members(groups: Mapping[str, Sequence[str]]) -> list[str]:
    return [name for group in groups.values() for name in group]
