"""Parts whose labels occur as often as their shares of the rows say.

What is dealt to the parts are units: rows, or groups of rows that stay together. The
measure is Pearson's chi-squared: the sum over labels and parts of
`(rows - expected) ** 2 / expected`. Three steps keep it small:

1. Of rows with the same labels every part gets its share, rounded down.
2. The units that are left are dealt one by one, those with rare labels first, each to
   the part where it does least harm so far.
3. Units of different parts are swapped for as long as that helps. Labels that are a
   row or more away from their share count for more and more.
"""

import numpy as np

from kmtl.data._deal import TIE, Units, deal_units


def stratify(
    labels: np.ndarray,
    weights: np.ndarray,
    shares: np.ndarray,
    rng: np.random.Generator,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Deals rows to parts.

    Args:
        labels: The labels of each row, one a column, `(rows, columns)`; all columns
            together number them from 0.
        weights: The weight of each label, `(labels,)`.
        shares: The share of each part, `(parts,)`.
        rng: Draws who is dealt where among equals.
        groups: The group of each row, numbered from 0; rows by themselves without.

    Returns:
        The part of each row, `(rows,)`. Without groups the numbers of rows are those
        of `sizes`. With groups every part gets at least one.
    """
    if groups is not None:
        return _stratify_groups(labels, weights, shares, rng, groups)
    part, rates = _deal_alike(labels, shares, rng)
    left = np.flatnonzero(part < 0)
    dealt = np.bincount(part[part >= 0], minlength=len(shares))
    room = sizes(len(part), shares) - dealt
    width = labels.shape[1]
    units = Units(
        np.arange(len(left) + 1) * width,
        labels[left].ravel(),
        np.ones(len(left) * width),
    )
    part[left] = deal_units(units, weights, shares, rates[left], (room, room), rng)
    return part


def sizes(rows: int, shares: np.ndarray) -> np.ndarray:
    """Returns how many rows each part gets: its share, rounded by largest remainders.

    Hamilton's method of apportionment; ties go to the earlier part.
    """
    exact = rows * shares
    rounded = np.floor(exact + TIE).astype("int64")
    neediest = np.argsort(rounded - exact, kind="stable")
    rounded[neediest[: rows - rounded.sum()]] += 1
    return rounded


def _stratify_groups(
    labels: np.ndarray,
    weights: np.ndarray,
    shares: np.ndarray,
    rng: np.random.Generator,
    groups: np.ndarray,
) -> np.ndarray:
    pairs = groups[:, None] * len(weights) + labels
    pairs, counts = np.unique(pairs, return_counts=True)
    owners, pair_labels = np.divmod(pairs, len(weights))
    offsets = np.searchsorted(owners, np.arange(owners[-1] + 2))
    units = Units(offsets, pair_labels, counts.astype("float64"))
    rates = np.broadcast_to(shares, (len(units), len(shares)))
    least = np.ones(len(shares), "int64")
    bounds = least, least * len(units)
    return deal_units(units, weights, shares, rates, bounds, rng)[groups]


def _deal_alike(
    labels: np.ndarray, shares: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Deals rows with the same labels by share, rounded down.

    Returns:
        The part of each row, -1 for a row that is left, and what each part is due of a
        row that is left, `(rows, parts)`.
    """
    kind, count = _kinds(labels, rng)
    shuffled = rng.permutation(len(labels))
    ordered = shuffled[np.argsort(kind[shuffled], kind="stable")]
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(count) - count, count)
    exact = count[:, None] * shares
    whole = np.floor(exact + TIE)
    part = np.empty(len(labels), "int64")
    ends = whole.cumsum(axis=1)[kind[ordered]]
    part[ordered] = (rank[:, None] >= ends).sum(axis=1)
    part[part == len(shares)] = -1
    left = np.maximum(count - whole.sum(axis=1), 1)
    return part, ((exact - whole) / left[:, None])[kind]


def _kinds(
    labels: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers rows by their labels; returns the number of rows of each kind, too."""
    # Rows with equal sums have equal labels, but for a chance of rows ** 2 / 2 ** 64,
    # which would do no harm. Sums wrap around.
    numbers = rng.integers(2**63, size=labels.max() + 1)
    sums = np.zeros(len(labels), "int64")
    for column in labels.T:
        sums += numbers[column]
    _, kind, count = np.unique(sums, return_inverse=True, return_counts=True)
    return kind, count
