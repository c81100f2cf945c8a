"""Slices of weights that must not move: put back after the optimizer's step."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from kmtl._head_groups import HeadGroup
from kmtl._typing import Tensor

HeadVariables = Sequence[tuple[HeadGroup, Sequence[Any]]]


def apply_and_hold(
    update: Callable[[], None],
    held: Tensor,
    heads: HeadVariables,
    optimizer: keras.Optimizer,
    variables: Sequence[Any],
) -> None:
    """Runs an update, then restores what belongs to held tasks.

    An optimizer moves a weight without a gradient too (momentum, weight decay), and it
    keeps numbers of its own for each weight. Both are put back exactly.

    Args:
        update: Applies the gradients.
        held: Boolean tensor `(tasks,)`.
        heads: The variables of each head group.
        optimizer: The optimizer that `update` calls, with its variables built.
        variables: The variables that the optimizer updates, in its order.

    Raises:
        ValueError: For a `MultiOptimizer`, whose slots are those of its parts.
    """
    _check_slots_can_be_found(optimizer)
    masked = [
        (slot, _mask(held, group, slot))
        for group, own in heads
        for variable in own
        for slot in [variable, *_slots(optimizer, variable, variables)]
    ]
    before = [tf.identity(slot.value) for slot, _ in masked]
    update()
    for (slot, mask), value in zip(masked, before, strict=True):
        slot.assign(tf.where(mask, value, slot.value))


def _check_slots_can_be_found(optimizer: Any) -> None:
    if isinstance(optimizer, keras.optimizers.MultiOptimizer):
        raise ValueError(
            "Frozen tasks and `freeze_absent` need one optimizer for all weights. "
            f"Received: {type(optimizer).__name__}. Give it up, or freeze nothing."
        )


def _mask(held: Tensor, group: HeadGroup, variable: Any) -> Tensor:
    mask = tf.gather(held, list(group.indices))
    if group.own:  # one task, whose variables have no task axis
        return mask[0]
    return tf.reshape(mask, (-1,) + (1,) * (len(variable.shape) - 1))


def _slots(optimizer: Any, variable: Any, variables: Sequence[Any]) -> list[Any]:
    """Finds what the optimizer keeps for a variable.

    Keras has no public way to ask: every list attribute with one entry a trainable
    variable holds one kind of slot.
    """
    position = next(i for i, v in enumerate(variables) if v is variable)
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    return [
        slots[position]
        for name, slots in vars(optimizer).items()
        if isinstance(slots, list)
        and len(slots) == len(variables)
        and name != "_trainable_variables"
        and isinstance(slots[position], keras.Variable)
        and slots[position].shape == variable.shape
    ]
