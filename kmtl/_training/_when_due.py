"""What is computed in some of the steps only."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kmtl._replicas import replica_count
from kmtl._typing import Tensor


def when_due(
    number: Tensor, every: int, compute: Callable[[], Any], leave: Callable[[], Any]
) -> Any:
    """Computes in one of so many steps.

    Args:
        number: How many steps came before this one, a scalar.
        every: One in so many steps is due, the first of all to begin with.
        compute: What is done in these.
        leave: What is done in the others; returns tensors of the same shapes.

    Raises:
        ValueError: If not every step is due and there are several replicas.
    """
    if every == 1:
        return compute()
    if replica_count() > 1:
        raise ValueError(
            "`every` must be 1 with several replicas: TensorFlow cannot sum gradients "
            f"over them in some of the steps only. Received: every={every}."
        )
    return tf.cond(tf.equal(number % every, 0), compute, leave)
