"""Units are dealt to parts one by one, then swapped: see `_stratify`."""

from dataclasses import dataclass

import numpy as np

# One matrix of the costs of all swaps between them stays within a processor's cache.
_UNITS_AT_ONCE = 256
# Enough for every unit of a frame with few tasks; a bound on time for the others.
_ROUNDS = 32
# A label that no swap can mend must not drown the others.
_LOUDEST = 1000
_PRECISION = 1e-11  # of sums, relative to their largest terms
TIE = 1e-9  # above rounding errors, below any difference that counts


@dataclass(frozen=True)
class Units:
    """What goes to one part as a whole: the labels of each unit, with their counts.

    The labels of unit u are `labels[offsets[u]:offsets[u + 1]]`.
    """

    offsets: np.ndarray
    labels: np.ndarray
    counts: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def positions(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns where the labels of chosen units stand, and whose they are."""
        sizes = np.diff(self.offsets)[chosen]
        owners = np.repeat(np.arange(len(chosen)), sizes)
        starts = self.offsets[chosen] - (np.cumsum(sizes) - sizes)
        return np.arange(len(owners)) + starts[owners], owners


@dataclass
class _Deal:
    """Units on their way to parts, and what that does to the labels.

    Attributes:
        units: What is dealt.
        weights: The weight of each label in the measure, `(labels,)`.
        shares: The share of each part, `(parts,)`.
        least: How many units a part must get, `(parts,)`.
        most: How many units a part can take, `(parts,)`.
        part: The part of each unit, `(units,)`.
        taken: How many units each part has, `(parts,)`.
        excess: Rows of a label in a part beyond its share, `(labels, parts)`.
    """

    units: Units
    weights: np.ndarray
    shares: np.ndarray
    least: np.ndarray
    most: np.ndarray
    part: np.ndarray
    taken: np.ndarray
    excess: np.ndarray


def deal_units(
    units: Units,
    weights: np.ndarray,
    shares: np.ndarray,
    rates: np.ndarray,
    bounds: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """Deals units one by one, then improves by swaps.

    Args:
        units: The units.
        weights: The weight of each label, `(labels,)`.
        shares: The share of each part, `(parts,)`.
        rates: What each part is due of each unit, `(units, parts)`; rows sum to 1.
        bounds: The least and the most units that a part may get.
        rng: Breaks ties.

    Returns:
        The part of each unit.
    """
    deal = _Deal(
        units,
        weights.copy(),
        shares,
        *bounds,
        part=np.zeros(len(units), "int64"),
        taken=np.zeros(len(shares), "int64"),
        excess=np.zeros((len(weights), len(shares))),
    )
    _deal_in_turn(deal, rates, rng)
    _improve(deal, rng)
    return deal.part


def _deal_in_turn(deal: _Deal, rates: np.ndarray, rng: np.random.Generator) -> None:
    """Gives each unit to the part where the measure is least after it.

    What parts are due of a label grows with every unit dealt, by its `rates`. So all
    parts fill at the pace of their shares, and none has to take whatever comes last.
    """
    units = deal.units
    weighted = deal.weights[units.labels] * units.counts
    owners = np.repeat(np.arange(len(units)), np.diff(units.offsets))
    harm = np.bincount(owners, weighted * units.counts, len(units))
    shuffled = rng.permutation(len(units))
    order = shuffled[np.argsort(-harm[shuffled], kind="stable")]
    ties = rng.random((len(units), len(deal.shares))) * TIE
    for done, unit in enumerate(order):
        held = slice(units.offsets[unit], units.offsets[unit + 1])
        labels, counts = units.labels[held], units.counts[held, None]
        excess = deal.excess[labels] - counts * rates[unit]
        cost = weighted[held] @ (2 * excess + counts) / deal.shares + ties[unit]
        short = np.maximum(deal.least - deal.taken, 0)
        must = short.sum() == len(units) - done
        may = short > 0 if must else deal.taken < deal.most
        part = np.where(may, cost, np.inf).argmin()
        excess[:, part] += counts[:, 0]
        deal.excess[labels] = excess
        deal.part[unit] = part
        deal.taken[part] += 1


def _improve(deal: _Deal, rng: np.random.Generator) -> None:
    """Swaps units of random batches until no label is a row away, or time is up."""
    waiting = np.empty(0, "int64")
    limit = deal.weights * _LOUDEST
    for _ in range(_ROUNDS):
        if not len(waiting):
            waiting = rng.permutation(len(deal.units))
        chosen, waiting = waiting[:_UNITS_AT_ONCE], waiting[_UNITS_AT_ONCE:]
        if not len(chosen):
            return
        _swap_batch(deal, chosen)
        away = np.abs(deal.excess).max(axis=1) >= 1 - TIE
        if not away.any():
            return
        # Doubled once in all units, as multiplicative weights do for the worst case.
        louder = deal.weights[away] * 2 ** (len(chosen) / len(deal.units))
        deal.weights[away] = np.minimum(louder, limit[away])


def _swap_batch(deal: _Deal, chosen: np.ndarray) -> None:
    """Makes the best swap between chosen units, again and again while one helps.

    Where the number of units of a part may change, every part has an empty unit to
    swap with: such a swap is a move.
    """
    empty = len(deal.shares) if (deal.least < deal.most).any() else 0
    is_empty = np.arange(len(chosen) + empty) >= len(chosen)
    part = np.concatenate([deal.part[chosen], np.arange(empty)])
    labels, held = _held(deal.units, chosen, empty)
    excess = deal.excess[labels]
    weighted = held * deal.weights[labels]
    overlap, pull = weighted @ held.T, weighted @ excess
    precision = _PRECISION * (np.abs(pull).max() + np.abs(overlap).max())
    while True:
        cost = _swap_costs(pull, overlap, part, deal.shares)
        last = (deal.taken[part] == 1) & ~is_empty
        emptied = last[:, None] & is_empty
        cost[emptied | emptied.T] = 0
        # Equal costs must not be told apart by the order in which a processor sums.
        cost = np.rint(cost / precision)
        a, b = np.divmod(cost.argmin(), len(part))
        if cost[a, b] >= 0:
            break
        i, j = part[a], part[b]
        excess[:, [i, j]] += np.outer(held[b] - held[a], [1, -1])
        pull[:, [i, j]] += np.outer(overlap[:, b] - overlap[:, a], [1, -1])
        deal.taken[[i, j]] += np.array([1, -1]) * (int(is_empty[a]) - int(is_empty[b]))
        part[a], part[b] = (i if is_empty[a] else j), (j if is_empty[b] else i)
    deal.excess[labels] = excess
    deal.part[chosen] = part[: len(chosen)]


def _held(
    units: Units, chosen: np.ndarray, empty: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the labels of chosen units, and how often each unit holds each.

    The second is `(units, labels)`; rows of zeros follow for the empty units.
    """
    positions, owners = units.positions(chosen)
    labels, columns = np.unique(units.labels[positions], return_inverse=True)
    held = np.zeros((len(chosen) + empty, len(labels)))
    held[owners, columns] = units.counts[positions]
    return labels, held


def _swap_costs(
    pull: np.ndarray, overlap: np.ndarray, part: np.ndarray, shares: np.ndarray
) -> np.ndarray:
    """Returns by how much the measure grows when two units swap their parts.

    Args:
        pull: The excess of the labels of a unit in each part, weighted and summed,
            `(units, parts)`.
        overlap: The weighted inner products of the labels of units, `(units, units)`.
        part: The part of each unit.
        shares: The share of each part.
    """
    slope = pull / shares
    there = slope[:, part]
    here = np.take_along_axis(slope, part[:, None], axis=1)
    linear = there + there.T - here - here.T
    norms = np.diag(overlap)
    distance = norms[:, None] + norms - 2 * overlap
    scale = 1 / shares[part]
    cost = 2 * linear + distance * (scale[:, None] + scale)
    cost[part[:, None] == part] = 0
    return cost
