"""What sharings that work between stages have in common."""

from numbers import Integral
from typing import Any

from keras import ops

from kmtl._typing import Tensor
from kmtl.layers import AverageMaps


def check_stage(value: Any, subject: str) -> None:
    """Raises `ValueError` unless `value` is an integer."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(
            f"`{subject}` must be the number of a stage, such as 0. "
            f"Received: {value!r}."
        )


def stage_index(stage: int, count: int, subject: str) -> int:
    """Returns the position of a stage from the start.

    Args:
        stage: Position from the start, or from the end if negative.
        count: How many stages the trunk has.
        subject: Names the argument in the message.

    Raises:
        ValueError: If the trunk has no such stage.
    """
    if not -count <= stage < count:
        raise ValueError(
            f"`{subject}` must be from 0 to {count - 1}: the trunk has {count} "
            f"stage{'s' if count > 1 else ''}. Received: {stage}. A `kmtl.trunks.MLP` "
            "has a stage a width, a `CNN` one an entry of `filters_per_stage`, a list "
            "of layers one a layer, and any other trunk a single one."
        )
    return stage % count


def pool_map(x: Tensor, *, rank: int) -> Tensor:
    """Averages over positions: the axes between the batch and the last `rank - 1`."""
    if rank == 3 and len(x.shape) == 5:
        return AverageMaps()(x)
    positions = tuple(range(1, len(x.shape) - rank + 1))
    return ops.mean(x, axis=positions) if positions else x
