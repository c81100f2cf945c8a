"""An optimizer for a model with other tasks, with what it kept for those that stay."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kmtl._keras_gaps import optimizer_slots, optimizer_state
from kmtl.layers import StackedLayer


def copied_optimizer(optimizer: Any) -> Any:
    """Returns an optimizer of the same settings, without state.

    Raises:
        ValueError: For a `MultiOptimizer`, whose parts are made for given layers.
    """
    if isinstance(optimizer, keras.optimizers.MultiOptimizer):
        raise ValueError(
            "Tasks cannot come or go under several optimizers. "
            f"Received: {type(optimizer).__name__}. Compile with one optimizer first."
        )
    return type(optimizer).from_config(optimizer.get_config())


def copy_optimizer_state(
    theirs: Any, ours: Any, layers: Sequence[tuple[Any, Any]]
) -> None:
    """Copies steps, learning rate and slots.

    Args:
        theirs: The optimizer of the old model.
        ours: That of the new one, with its variables built.
        layers: Pairs of an old and a new layer.
    """
    for old, new in _parts(theirs, ours):
        state = optimizer_state(new)
        for name, variable in optimizer_state(old).items():
            state[name].assign(variable)
    for old_layer, new_layer in layers:
        for old, new in zip(old_layer.weights, new_layer.weights, strict=True):
            slots = optimizer_slots(ours, new)
            for name, slot in optimizer_slots(theirs, old).items():
                slots[name].assign(_carried(old_layer, new_layer, slot, slots[name]))


def _parts(theirs: Any, ours: Any) -> Iterator[tuple[Any, Any]]:
    """An optimizer, and the one that it scales losses for."""
    yield theirs, ours
    if isinstance(theirs, keras.optimizers.LossScaleOptimizer):
        yield theirs.inner_optimizer, ours.inner_optimizer


def _carried(old_layer: Any, new_layer: Any, slot: Any, start: Any) -> np.ndarray:
    values, start = map(ops.convert_to_numpy, (slot, start))
    is_stack = isinstance(new_layer, StackedLayer)
    if is_stack and len(new_layer.tasks) != len(old_layer.tasks):
        return new_layer.carried(old_layer, values, start)
    return values
