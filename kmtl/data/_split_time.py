"""Parts that follow each other in time."""

import numpy as np


def cut_in_time(
    moments: np.ndarray, owners: np.ndarray | None, shares: np.ndarray, column: str
) -> np.ndarray:
    """Returns the part of each row: a cut lies as near as can be to its share.

    Args:
        moments: The time of each row, numbered in order from 0.
        owners: The group of each row, numbered from 0: no cut goes through one.
        shares: The share of each part.
        column: Names the times in messages.

    Raises:
        ValueError: If groups leave too few places to cut at.
    """
    before = np.bincount(moments).cumsum()[:-1]  # rows before a cut at each moment
    places = np.arange(len(before))
    if owners is not None:
        places = places[~_spanned(moments, owners)[:-1]]
    wanted = len(shares) - 1
    if len(places) < wanted:
        raise ValueError(
            f"`groups` must leave {wanted} times between which to cut. Received: "
            f"{len(places)}, as groups overlap in the column {column!r}. Split by one "
            "of the two."
        )
    goals = np.cumsum(shares)[:-1] * len(moments)
    cuts: list[int] = []
    for k, goal in enumerate(goals):
        # One place at least is left for every cut that follows.
        first, stop = cuts[-1] + 1 if cuts else 0, len(places) - wanted + k + 1
        distance = np.abs(before[places[first:stop]] - goal)
        cuts.append(first + int(distance.argmin()))
    return np.searchsorted(places[cuts], moments, side="left")


def _spanned(moments: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Marks the moments after which no cut may be: a group has rows on both sides."""
    first = np.full(owners.max() + 1, moments.max())
    last = np.zeros_like(first)
    np.minimum.at(first, owners, moments)
    np.maximum.at(last, owners, moments)
    number = moments.max() + 1
    opened = np.bincount(first, minlength=number)
    closed = np.bincount(last, minlength=number)
    return (opened - closed).cumsum() > 0
