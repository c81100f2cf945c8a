"""What one forward pass leaves behind, and the first backward pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from kmtl._typing import Tensor


@dataclass(frozen=True)
class Inner:
    """Values of tensors inside a model.

    Attributes:
        shared: Those of the last tensors that tasks share.
        behind: Those that a `FanOut` asks for.
    """

    shared: Sequence[Tensor] = ()
    behind: Sequence[Tensor] = ()


@dataclass(frozen=True)
class Recorded:
    """One forward pass, on a tape that can be read several times.

    Attributes:
        tape: The tape.
        losses: The mean losses, `(tasks,)`.
        penalty: What is added to them, a scalar.
        inner: Values of tensors inside the model.
        factors: The loss weights, `(tasks,)`, times what the optimizer multiplies
            losses with in mixed precision.
        scale: The latter.
    """

    tape: tf.GradientTape
    losses: Tensor
    penalty: Tensor
    inner: Inner
    factors: Tensor
    scale: Tensor


@dataclass(frozen=True)
class Plain:
    """What one backward pass from the sum of the losses gives.

    Attributes:
        own: The gradients of what belongs to one task, by `id` of the variable.
        handles: The gradients at the handles of the `FanOut`, if there is one.
        read: The weights that it needs.
        by_task: Those of each task at each shared tensor, `(tasks, batch, ...)`, where
            they have been taken.
    """

    own: dict[int, Any]
    handles: Sequence[Tensor] = ()
    read: Sequence[Tensor] = ()
    by_task: Sequence[Tensor] | None = None
