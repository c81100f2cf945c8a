"""Slices of weights that must not move: put back at the end of a step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from kmtl._keras_gaps import optimizer_slots
from kmtl._typing import Tensor

# The owner of what belongs to no task alone.
NOBODY = -1


@dataclass(frozen=True)
class OwnedVariable:
    """A variable of which parts belong to one task alone.

    Attributes:
        variable: The variable.
        owners: The number of the task that each slice belongs to, `NOBODY` for none; or
            one number for the whole variable.
    """

    variable: Any
    owners: int | Sequence[int]

    @property
    def all_owners(self) -> set[int]:
        """The owners of the slices."""
        return {self.owners} if isinstance(self.owners, int) else set(self.owners)


class Hold:
    """Remembers variables at the start of a step, to put slices back at its end.

    An optimizer moves a weight without a gradient too (momentum, weight decay), and it
    keeps numbers of its own for each weight; the forward pass moves the averages of
    batch normalisation. All are put back exactly.

    Args:
        owned: The variables, and whose they are.
        optimizer: The optimizer of the step, with its variables built.

    Raises:
        ValueError: For a `MultiOptimizer`, whose slots are those of its parts.
    """

    def __init__(self, owned: Sequence[OwnedVariable], optimizer: Any) -> None:
        _check_slots_can_be_found(optimizer)
        self._parts = [
            (variable, part.owners)
            for part in owned
            for variable in [
                part.variable,
                *optimizer_slots(optimizer, part.variable).values(),
            ]
        ]
        self._before = [tf.identity(variable.value) for variable, _ in self._parts]

    def restore(self, held: Tensor) -> None:
        """Puts back what belongs to held tasks.

        Args:
            held: Boolean tensor `(tasks + 1,)`; the last is for what is nobody's.
        """
        for (variable, owners), value in zip(self._parts, self._before, strict=True):
            mask = _mask(held, owners, variable)
            variable.assign(tf.where(mask, value, variable.value))


def _check_slots_can_be_found(optimizer: Any) -> None:
    if isinstance(optimizer, keras.optimizers.MultiOptimizer):
        raise ValueError(
            "Frozen tasks and `freeze_absent` need one optimizer for all weights. "
            f"Received: {type(optimizer).__name__}. Give it up, or freeze nothing."
        )


def _mask(held: Tensor, owners: int | Sequence[int], variable: Any) -> Tensor:
    if isinstance(owners, int):
        return held[owners]
    last = held.shape[0] - 1
    mask = tf.gather(held, [last if owner == NOBODY else owner for owner in owners])
    return tf.reshape(mask, (-1,) + (1,) * (len(variable.shape) - 1))
