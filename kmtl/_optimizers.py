"""Which optimizers may update stacked weights."""

from collections.abc import Sequence
from typing import Any

import keras

from kmtl.layers import StackedLayer

# Their update of a weight depends on the norm or the shape of the whole variable, so
# the tasks of a stack would no longer be independent of each other.
_PER_VARIABLE = (
    keras.optimizers.Adafactor,
    keras.optimizers.Lamb,
    keras.optimizers.Muon,
)


def check_optimizer(optimizer: Any, layers: Sequence[keras.layers.Layer]) -> None:
    """Raises `ValueError` for an optimizer that would couple the slices of a stack.

    Heads, towers and experts of the same form are slices of one variable. Element-wise
    optimizers do not notice; one that works on the norm or the shape of a variable
    would.

    Args:
        optimizer: A Keras optimizer.
        layers: The layers of the model.
    """
    stacks = [layer for layer in layers if isinstance(layer, StackedLayer)]
    if all(len(stack.tasks) == 1 for stack in stacks):
        return
    for inner in _unwrap(optimizer):
        if isinstance(inner, _PER_VARIABLE):
            raise ValueError(
                f"`optimizer` {type(inner).__name__} works on whole variables, and the "
                "heads of tasks are slices of one; their tasks would influence each "
                "other. Use Adam, AdamW, SGD, RMSprop, Lion or another element-wise "
                "optimizer."
            )
        if inner.clipnorm is not None:
            raise ValueError(
                "`clipnorm` clips whole variables, and the heads of tasks are slices "
                f"of one. Received: clipnorm={inner.clipnorm}. Use `global_clipnorm` "
                "or `clipvalue`."
            )


def check_may_rest(optimizer: Any) -> None:
    """Raises `ValueError` for an optimizer that must see the gradients of every step.

    Only each n-th step of those that accumulate gradients moves weights. A task that
    is absent in that step is put back, with all that was accumulated before: it would
    lose what it has learned, or never learn.

    Args:
        optimizer: The optimizer of a model with `freeze_absent=True`.
    """
    # Those that scale losses may accumulate in place of the one inside.
    for each in [optimizer, *_unwrap(optimizer)]:
        if each.gradient_accumulation_steps:
            raise ValueError(
                "`freeze_absent=True` puts tasks without a label back after each step, "
                "and with them the gradients that `gradient_accumulation_steps` of the "
                "optimizer kept. Received: both, gradient_accumulation_steps="
                f"{each.gradient_accumulation_steps}. Give up one of them; larger "
                "batches do what accumulation does."
            )


def _unwrap(optimizer: Any) -> list[Any]:
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return _unwrap(optimizer.inner_optimizer)
    if isinstance(optimizer, keras.optimizers.MultiOptimizer):
        return [inner for part in optimizer.optimizers for inner in _unwrap(part)]
    return [optimizer]
