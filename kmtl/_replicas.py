"""Sums over the replicas of a distribution strategy."""

import tensorflow as tf

from kmtl._typing import Tensor


def replica_count() -> int:
    """Returns how many replicas train the model."""
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def over_replicas(values: Tensor) -> Tensor:
    """Sums over replicas: a task's mean is over the rows of the global batch."""
    if replica_count() == 1:
        return values
    return tf.distribute.get_replica_context().all_reduce("sum", values)
