"""Data of which it is known how the tasks are related."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from kmtl._checks import (
    as_tuple,
    check_choice,
    check_count,
    check_positive_integer,
    check_share,
    check_weight,
)
from kmtl.tasks import BinaryTask, RegressionTask, Task

# A function of a group reads as many directions of the inputs.
_DIRECTIONS = 2


@dataclass(frozen=True, eq=False)
class RelatedTasks:
    """What `make_related_tasks` returns.

    Attributes:
        x: Inputs, standard normal, `(rows, features)`, float32.
        y: Labels by task name, `(rows,)`, float32: 0 or 1, or numbers of variance 1
            and the noise; NaN where missing.
        tasks: The tasks, those of a group together.
        relations: The truth, tasks by tasks: 1 where two have one function, -1 where
            one has that of the other turned round, 0 where they have nothing in common.
    """

    x: np.ndarray
    y: dict[str, np.ndarray]
    tasks: Sequence[Task]
    relations: pd.DataFrame

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The names of the tasks that share a function, opposed ones among them."""
        by_first: dict[str, list[str]] = {}
        for name in self.y:
            first = str(self.relations[name].ne(0).idxmax())
            by_first.setdefault(first, []).append(name)
        return tuple(map(tuple, by_first.values()))

    @property
    def frame(self) -> pd.DataFrame:
        """Inputs, in columns `x1`, `x2`, ..., and labels, in columns of the tasks."""
        names = [f"x{number}" for number in range(1, self.x.shape[1] + 1)]
        return pd.DataFrame(self.x, columns=names).assign(**self.y)


def make_related_tasks(
    groups: Sequence[int] = (3, 3),
    *,
    opposed: int = 0,
    rows: int = 1000,
    features: int = 16,
    kind: Literal["binary", "regression"] = "binary",
    noise: float = 0.5,
    missing: float = 0.0,
    seed: int = 0,
) -> RelatedTasks:
    """Makes data of which it is known how the tasks are related.

    The tasks of a group share a function of the inputs, `u + 2 u v` at variance 1,
    where `u` and `v` are the inputs along two directions, and have noise of their own.
    The directions of different groups are at right angles, so that their labels are
    independent, and what one group learns of the inputs is of no use to another.

    * Tasks of one group gain by sharing a trunk, the more the fewer their rows.
    * Tasks of different groups compete for its units: a narrow trunk is worse for them
      than one each.
    * Opposed tasks have the function of their group turned round. A head of its own
      turns it back, so that they gain by sharing a trunk like the rest of the group,
      though their labels are negatively correlated. They lose where heads or towers are
      pulled together, as with `kmtl.sharing.Soft`.

    Args:
        groups: How many tasks each group has; a task that is unrelated to all others is
            a group of one.
        opposed: How many tasks, the last of each group of several, are opposed to the
            others of the group.
        rows: How many rows.
        features: How many inputs; at least two a group.
        kind: The kind of the tasks: `"binary"` (whether function and noise are above 0)
            or `"regression"` (their sum).
        noise: The standard deviation of the noise, by that of the function.
        missing: The share of labels that are missing, anywhere at random.
        seed: Another one draws other functions and rows.

    Returns:
        Inputs, labels, tasks and how they are related. Tasks are named by group and
        number: `g1_1`, `g1_2`, `g2_1`, ...

    Raises:
        ValueError: If an argument is wrong, or there are too few features.

    Example:
        >>> import kmtl
        >>> made = kmtl.testing.make_related_tasks((2, 1), rows=100)
        >>> made.groups
        (('g1_1', 'g1_2'), ('g2_1',))
        >>> model = kmtl.build_mtl_model(made.frame, made.tasks)
        >>> history = model.fit(made.frame, epochs=1, verbose=0)
    """
    sizes = _checked_sizes(groups, opposed)
    check_positive_integer(rows, "rows")
    check_positive_integer(features, "features")
    check_choice(kind, ("binary", "regression"), "kind")
    check_weight(noise, "noise")
    check_share(missing, "missing")
    check_count(seed, "seed")
    if features < _DIRECTIONS * len(sizes):
        raise ValueError(
            f"`features` must be at least {_DIRECTIONS} a group, here "
            f"{_DIRECTIONS * len(sizes)}. Received: features={features}, "
            f"groups={groups!r}."
        )
    rng = np.random.default_rng(seed)
    x, functions = _functions(rng, rows, features, len(sizes))
    columns, tasks, signs = {}, [], []
    for group, size in enumerate(sizes):
        for number in range(size):
            sign = -1 if size > 1 and number >= size - opposed else 1
            name = f"g{group + 1}_{number + 1}"
            score = sign * functions[:, group] + noise * rng.normal(size=rows)
            columns[name] = _labels(rng, score, kind, missing)
            tasks.append(BinaryTask(name) if kind == "binary" else RegressionTask(name))
            signs.append((group, sign))
    return RelatedTasks(
        x.astype("float32"), columns, tasks, _relations(list(columns), signs)
    )


def _checked_sizes(groups: Any, opposed: Any) -> tuple[int, ...]:
    sizes = as_tuple(groups, "groups")
    if not sizes:
        raise ValueError("`groups` must hold the size of a group. Received: none.")
    for size in sizes:
        check_positive_integer(size, "groups[...]")
    check_count(opposed, "opposed")
    smallest = min((size for size in sizes if size > 1), default=1)
    if opposed >= smallest:
        raise ValueError(
            "`opposed` must be below the size of each group of several tasks. "
            f"Received: opposed={opposed}, groups={groups!r}."
        )
    return sizes


def _functions(
    rng: np.random.Generator, rows: int, features: int, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs, and what each group makes of them, `(rows, groups)`, of variance 1."""
    directions, _ = np.linalg.qr(rng.normal(size=(features, features)))
    x = rng.normal(size=(rows, features))
    read = (x @ directions)[:, : _DIRECTIONS * groups]
    u, v = np.moveaxis(read.reshape(rows, groups, _DIRECTIONS), -1, 0)
    return x, (u + 2 * u * v) / np.sqrt(5.0)  # the variance of u + 2 u v is 1 + 4


def _labels(
    rng: np.random.Generator, score: np.ndarray, kind: str, missing: float
) -> np.ndarray:
    labels = score > 0 if kind == "binary" else score
    labels = labels.astype("float32")
    labels[rng.random(len(labels)) < missing] = np.nan
    return labels


def _relations(names: list[str], signs: list[tuple[int, int]]) -> pd.DataFrame:
    group, sign = np.transpose(signs)
    same = group[:, None] == group
    return pd.DataFrame(same * sign[:, None] * sign, names, names)
