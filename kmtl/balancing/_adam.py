"""Adam for one number a task, which waits while its task is absent."""

from typing import Any

import numpy as np
from keras import ops

from kmtl._typing import Tensor
from kmtl.balancing._base import State

# The defaults of Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015.
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


def learned(tasks: int) -> dict[str, Any]:
    """Returns the state of a learned number a task, `"learned"`, which starts at 0."""
    return {
        name: np.zeros(tasks)
        for name in ("learned", "first_moment", "second_moment", "updates")
    }


def learn(state: State, gradient: Tensor, mask: Tensor, rate: float) -> State:
    """Takes one step of Adam for the tasks of a mask.

    Args:
        state: The state of a method, with the arrays of `learned`.
        gradient: That of the objective by each number, `(tasks,)`, finite.
        mask: 1 for a task that learns; the numbers, moments and counts of the others
            stay as they are, as if there had been no step.
        rate: The learning rate.

    Returns:
        The new state.
    """
    updates = state["updates"] + 1
    first = _BETA_1 * state["first_moment"] + (1 - _BETA_1) * gradient
    second = _BETA_2 * state["second_moment"] + (1 - _BETA_2) * gradient**2
    size = ops.sqrt(second / (1 - _BETA_2**updates)) + _EPSILON
    value = state["learned"] - rate * first / (1 - _BETA_1**updates) / size
    new = {
        "learned": value,
        "first_moment": first,
        "second_moment": second,
        "updates": updates,
    }
    moved = {name: ops.where(mask > 0, new[name], state[name]) for name in new}
    return {**state, **moved}
