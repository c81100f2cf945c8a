"""How often each task is drawn: shares by formula, and whole numbers of them."""

from typing import Literal, TypeAlias

import numpy as np

Strategy: TypeAlias = Literal[
    "proportional", "uniform", "sqrt", "temperature", "annealed"
]
STRATEGIES: tuple[Strategy, ...] = (
    "proportional",
    "uniform",
    "sqrt",
    "temperature",
    "annealed",
)
# Shares are sums of floats: a hair below a whole number is that number.
_ROUNDING = 1e-9


def exponent(
    strategy: Strategy, temperature: float | None, epoch: int, anneal_epochs: int | None
) -> float:
    """Returns the power of a size that the share of its task is proportional to."""
    powers = {"proportional": 1.0, "uniform": 0.0, "sqrt": 0.5}
    if strategy in powers:
        return powers[strategy]
    last = 1 / (temperature or 1.0)
    if anneal_epochs is None:
        return last
    # Stickland & Murray 2019, section 4.2: 1 - 0.8 (e - 1) / (E - 1), e from 1 on
    progress = min(epoch / max(anneal_epochs - 1, 1), 1.0)
    return 1 - (1 - last) * progress


def shares_of(
    sizes: np.ndarray, power: float, active: np.ndarray, limits: np.ndarray
) -> np.ndarray:
    """Computes shares `size ** power`, capped.

    Args:
        sizes: Sizes of the tasks, `(tasks,)`.
        power: See `exponent`.
        active: Which tasks are drawn at all, `(tasks,)`.
        limits: The largest share of each task, `(tasks,)`, infinite for no limit. What
            lies above is shared out among the others in proportion, as in UniMax.

    Returns:
        Shares that sum to 1, `(tasks,)`.
    """
    logs = np.log(sizes, dtype="float64") * power
    shares = np.where(active, np.exp(logs - logs.max(where=active, initial=-np.inf)), 0)
    shares /= shares.sum()
    return _capped(shares, np.where(active, limits, 0.0))


def _capped(shares: np.ndarray, limits: np.ndarray) -> np.ndarray:
    found, full = shares, np.zeros(len(shares), dtype=bool)
    while (above := ~full & (found > limits)).any():
        full |= above
        rest = shares[~full].sum()
        if rest == 0:  # the limits leave no choice: they sum to 1
            return limits / limits.sum()
        left = 1 - limits[full].sum()
        found = np.where(full, limits, shares * left / rest)
    return found


def whole_numbers(shares: np.ndarray, total: int) -> np.ndarray:
    """Splits a total by shares, by largest remainders; no active task gets nothing.

    Args:
        shares: Shares that sum to 1, `(tasks,)`.
        total: What is split; at least the number of shares above 0.

    Returns:
        Integers that sum to the total, `(tasks,)`, each less than 1 off its share but
        where that is under 1: then it is 1.
    """
    quotas = shares * total
    counts = np.maximum(np.floor(quotas + _ROUNDING), shares > 0).astype("int64")
    missing = total - int(counts.sum())
    if missing > 0:
        counts[np.argsort(counts - quotas, kind="stable")[:missing]] += 1
    for _ in range(-missing):  # what the smallest got beyond their shares
        counts[counts.argmax()] -= 1
    return counts
