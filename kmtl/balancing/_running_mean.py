"""Means over steps, kept in the state of a method."""

from keras import ops

from kmtl._typing import Tensor
from kmtl.balancing._base import State


def add_to_mean(state: State, name: str, values: Tensor, counts: Tensor) -> State:
    """Takes the values of a step into a running mean.

    Args:
        state: The state, with the mean, and in `"batches"` of how many values it is.
        name: The name of the mean.
        values: `(tasks,)`.
        counts: Which of them to take, boolean, `(tasks,)`.
    """
    batches = state["batches"] + ops.cast(counts, values.dtype)
    change = (values - state[name]) / ops.maximum(batches, 1)
    mean = ops.where(counts, state[name] + change, state[name])
    return {**state, name: mean, "batches": batches}
