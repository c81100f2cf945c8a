"""The search for the best grouping of tasks, on plain arrays.

`values` is the affinity `(tasks, tasks)`, of a row to a column, 0 on the diagonal. A
grouping is `(groups, tasks)`, boolean.
"""

from dataclasses import dataclass

import numpy as np

# Up to here every grouping is looked at: 3 ** 14 pairs of subsets take a few seconds.
MOST_EXACT = 14
_STARTS = 20
# Sums that differ by less than this, of the largest affinity, differ by rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Gain:
    """What a task gains by the others of its group.

    Attributes:
        alone: The gain of a task without others.
        mean: Whether it is the mean of their affinities to it, not the sum.
    """

    alone: float = 0.0
    mean: bool = True

    def of(self, sums: np.ndarray, others: np.ndarray) -> np.ndarray:
        """The gains of tasks with so many others, whose affinities have these sums."""
        shared = sums / np.maximum(others, 1) if self.mean else sums
        return np.where(others > 0, shared, self.alone)


def best_grouping(
    values: np.ndarray, groups: int, *, overlapping: bool, gain: Gain
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the grouping with the largest sum of gains.

    Returns:
        Which tasks each group has, and which it serves.
    """
    if len(values) <= MOST_EXACT:
        members = _exact(values, groups, overlapping=overlapping, gain=gain)
    else:
        members = _searched(values, groups, gain)
        if overlapping:
            members = _with_helpers(values, members, groups, gain)
    served = np.zeros_like(members)
    best = gains_in(values, members, gain).argmax(axis=0)
    served[best, np.arange(len(best))] = True
    used = served.any(axis=1)
    return members[used], served[used]


def gains_in(values: np.ndarray, members: np.ndarray, gain: Gain) -> np.ndarray:
    """The gain of each task in each group, `(groups, tasks)`; -inf where it is not."""
    others = members.sum(axis=1, keepdims=True) - 1
    return np.where(members, gain.of(members @ values, others), -np.inf)


def _exact(
    values: np.ndarray, groups: int, *, overlapping: bool, gain: Gain
) -> np.ndarray:
    """Dynamic programming over subsets of the tasks; a subset is a number of bits."""
    count = len(values)
    has = (np.arange(2**count)[:, None] >> np.arange(count) & 1).astype(bool)
    gains = np.where(has, gains_in(values, has, gain), 0.0)
    subsets = _subsets(count)
    networks = np.arange(2**count)
    if overlapping:
        networks = _best_networks(gains, has, subsets)
    worth = np.where(has, gains[networks], 0.0).sum(axis=1)
    best, first = worth.copy(), [np.arange(2**count)]
    for _ in range(1, groups):
        best, chosen = _with_one_more(worth, best, subsets, first[-1])
        first.append(chosen)
    served, rest = [], 2**count - 1
    for level in reversed(first):
        if rest:
            served.append(level[rest])
            rest ^= level[rest]
    return has[networks[served]]


def _subsets(count: int) -> list[np.ndarray]:
    """The subsets of every subset, the empty one and itself among them."""
    found = [np.zeros(1, dtype=np.int64)]
    for task in range(count):
        bit = 1 << task
        found += [np.concatenate([below, below | bit]) for below in found]
    return found


def _best_networks(
    gains: np.ndarray, has: np.ndarray, subsets: list[np.ndarray]
) -> np.ndarray:
    """For each subset the group around it in which its tasks gain most."""
    everything = len(has) - 1
    networks = np.arange(len(has))
    for subset in networks[1:]:
        around = subset | subsets[everything ^ subset]
        total = gains[around][:, has[subset]].sum(axis=1)
        networks[subset] = around[total.argmax()]
    return networks


def _with_one_more(
    worth: np.ndarray,
    best: np.ndarray,
    subsets: list[np.ndarray],
    before: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Lets one more group serve each subset, where that is better.

    Args:
        worth: What a group of its own is worth to each subset.
        best: What the groups so far are worth to each.
        subsets: See `_subsets`.
        before: Which part of a subset its first group served so far.

    Returns:
        What the groups are worth now, and which part the first serves.
    """
    new, chosen = best.copy(), before.copy()
    for whole in range(1, len(worth)):
        lowest = whole & -whole  # is in the first group: else each grouping came twice
        parts = subsets[whole ^ lowest] | lowest
        totals = worth[parts] + best[whole ^ parts]
        place = totals.argmax()
        if totals[place] > new[whole]:
            new[whole], chosen[whole] = totals[place], parts[place]
    return new, chosen


def _searched(values: np.ndarray, groups: int, gain: Gain) -> np.ndarray:
    """The best of local searches from several starts, as `(groups, tasks)`."""
    # The sum over a group is of pairs, in which both directions count alike.
    pairs = values + values.T
    rng = np.random.default_rng(0)
    starts = [_merged(pairs, groups, gain)]
    starts += [rng.integers(groups, size=len(pairs)) for _ in range(_STARTS)]
    found = [_improved(pairs, start, groups, gain) for start in starts]
    totals = [_total(pairs, place, groups, gain) for place in found]
    return found[int(np.argmax(totals))] == np.arange(groups)[:, None]


def _worth(sums: np.ndarray, sizes: np.ndarray, gain: Gain) -> np.ndarray:
    """What groups are worth whose pairs have these sums."""
    return np.where(sizes > 0, gain.of(sums, sizes - 1), 0.0)


def _total(pairs: np.ndarray, place: np.ndarray, groups: int, gain: Gain) -> float:
    has = np.eye(groups)[place]
    sums = ((pairs @ has) * has).sum(axis=0) / 2
    return float(_worth(sums, has.sum(axis=0), gain).sum())


def _merged(pairs: np.ndarray, groups: int, gain: Gain) -> np.ndarray:
    """Merges the two groups that gain most by it, until no more need or should be."""
    has = np.eye(len(pairs))
    while True:
        between = has.T @ pairs @ has
        sums, sizes = np.diag(between) / 2, has.sum(axis=0)
        together = _worth(sums[:, None] + sums + between, sizes[:, None] + sizes, gain)
        worth = _worth(sums, sizes, gain)
        more = together - worth[:, None] - worth
        np.fill_diagonal(more, -np.inf)
        i, j = np.unravel_index(more.argmax(), more.shape)
        if has.shape[1] <= groups and not more[i, j] > 0:
            return has.argmax(axis=1)
        has[:, i] += has[:, j]
        has = np.delete(has, j, axis=1)


def _improved(
    pairs: np.ndarray, place: np.ndarray, groups: int, gain: Gain
) -> np.ndarray:
    """Moves a task, or swaps two, whichever gains most, until nothing does."""
    place = place.copy()
    least = _ROUNDING * np.abs(pairs).max(initial=0.0)
    while True:
        moves, swaps = _changes(pairs, place, groups, gain)
        task, group = np.unravel_index(moves.argmax(), moves.shape)
        one, other = np.unravel_index(swaps.argmax(), swaps.shape)
        if max(moves[task, group], swaps[one, other]) <= least:
            return place
        if moves[task, group] >= swaps[one, other]:
            place[task] = group
        else:
            place[[one, other]] = place[[other, one]]


def _changes(
    pairs: np.ndarray, place: np.ndarray, groups: int, gain: Gain
) -> tuple[np.ndarray, np.ndarray]:
    """What moves gain, `(tasks, groups)`, and what swaps do, `(tasks, tasks)`."""
    has = np.eye(groups)[place]
    links = pairs @ has  # of each task to each group
    own = (links * has).sum(axis=1)
    sums, sizes = (links * has).sum(axis=0) / 2, has.sum(axis=0)
    worth = _worth(sums, sizes, gain)
    left = _worth(sums[place] - own, sizes[place] - 1, gain) - worth[place]
    joined = _worth(sums + links, sizes + 1, gain) - worth
    moves = np.where(has > 0, -np.inf, left[:, None] + joined)
    # Row and column change places: the group of the row gets the column's task.
    instead = sums[place, None] - own[:, None] + links[:, place].T - pairs
    change = _worth(instead, sizes[place, None], gain) - worth[place, None]
    swaps = np.where(place[:, None] == place, -np.inf, change + change.T)
    return moves, swaps


def _with_helpers(
    values: np.ndarray, members: np.ndarray, groups: int, gain: Gain
) -> np.ndarray:
    """Adds tasks to groups, or takes them out, as long as that gains anything."""
    members = np.pad(members, ((0, groups - len(members)), (0, 0)))
    least = _ROUNDING * np.abs(values).max(initial=0.0)
    while True:
        gains = gains_in(values, members, gain)
        best = gains.max(axis=0)
        elsewhere = _best_elsewhere(gains)
        totals = np.stack(
            [_flipped(values, members[g], elsewhere[g], gain) for g in range(groups)]
        )
        group, task = np.unravel_index(totals.argmax(), totals.shape)
        if totals[group, task] > best.sum() + least:
            members[group, task] ^= True
            continue
        unused = np.setdiff1d(np.arange(groups), gains.argmax(axis=0))
        pair, gained = _best_pair(values, best)
        if not len(unused) or gained <= least:
            return members
        members[unused[0]] = False
        members[unused[0], pair] = True


def _best_pair(values: np.ndarray, best: np.ndarray) -> tuple[list[int], float]:
    """The two tasks that gain most by a network for them, and how much."""
    more = np.maximum(values - best, 0.0)  # of the column, by the row's help
    np.fill_diagonal(more, 0.0)
    more = more + more.T
    pair = np.unravel_index(more.argmax(), more.shape)
    return [int(task) for task in pair], float(more[pair])


def _best_elsewhere(gains: np.ndarray) -> np.ndarray:
    """For each group, the best gain of each task in the others; `(groups, tasks)`."""
    in_none = np.full((1, gains.shape[1]), -np.inf)
    second, first = np.sort(np.concatenate([gains, in_none]), axis=0)[-2:]
    return np.where(gains == first, second, first)


def _flipped(
    values: np.ndarray, members: np.ndarray, elsewhere: np.ndarray, gain: Gain
) -> np.ndarray:
    """The sum of gains with one task more or less in a group, by that task.

    Args:
        values: The affinities.
        members: Which tasks the group has.
        elsewhere: The best gain of each task in the other groups.
        gain: What a task gains by others.
    """
    changed = members ^ np.eye(len(values), dtype=bool)
    others = changed.sum(axis=1, keepdims=True) - 1
    sums = members @ values + np.where(members, -1.0, 1.0)[:, None] * values
    gains = np.where(changed, gain.of(sums, others), -np.inf)
    return np.maximum(gains, elsewhere).sum(axis=1)
