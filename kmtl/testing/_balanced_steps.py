"""Steps of a method that weighs tasks, without a model."""

from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from kmtl._training._balancing_state import kept_where
from kmtl._typing import Tensor
from kmtl.balancing import Balancing, LossBalancing, State, Step
from kmtl.layers._per_task import derive_seed
from kmtl.tasks import BinaryTask
from kmtl.testing import _assertions as check

Batch: TypeAlias = dict[str, Any]
"""What happens in a step: arrays with a row a task."""

DIMENSIONS = 8
"""How many numbers a gradient has."""


def draw(
    count: int, seed: int = 0, *, rank: int = DIMENSIONS, scales: Any = (1.0, 1.0)
) -> Batch:
    """Draws what happens in a step.

    Args:
        count: The number of tasks.
        seed: Of the draws.
        rank: The rank of the Gramian, if there are as many tasks.
        scales: The scale of the gradients and that of the losses, numbers or arrays
            `(tasks,)`.
    """
    rng = np.random.default_rng(seed)
    gradients = rng.normal(size=(count, rank)) @ rng.normal(size=(rank, DIMENSIONS))
    losses = np.reshape(scales[1], (-1, 1)) * rng.uniform(0.5, 2.0, (count, 3))
    return {
        "keys": np.array([derive_seed("balancing", f"task_{i}") for i in range(count)]),
        "present": np.ones(count),
        "gradients": np.reshape(scales[0], (-1, 1)) * gradients,
        "losses": losses,  # now, after the optimizer's step, and of constants
    }


class Steps:
    """Makes steps as a model makes them.

    Args:
        method: The method.

    Attributes:
        method: The method.
    """

    def __init__(self, method: Balancing) -> None:
        self.method = method
        # Solvers loop: in eager mode their steps take ten times as long.
        self._traced = tf.function(self.eager, autograph=False)

    def __call__(
        self, batch: Batch, state: State, number: int = 0
    ) -> tuple[Tensor, State]:
        """Makes one step in a graph.

        Returns:
            The weights, `(tasks,)`, and the state after the step.
        """
        return self._traced(check.tensors_of(batch), state, tf.constant(number))

    def eager(self, batch: Batch, state: State, number: Tensor) -> tuple[Tensor, State]:
        """Makes one step of arrays or tensors."""
        present = tf.convert_to_tensor(batch["present"])
        losses, later, constants = tf.unstack(
            batch["losses"] * present[:, None], axis=1
        )
        method: Any = self.method
        by_losses = isinstance(method, LossBalancing)
        asks = by_losses and method.sees_constant_losses
        gradients = batch["gradients"] * present[:, None]
        step = Step(
            losses=losses,
            present=present,
            epoch=number // 2,
            number=number,
            keys=batch["keys"],
            gramian=None if by_losses else gradients @ tf.transpose(gradients),
            constant_losses=constants if asks else None,
        )
        weights, new = method(step, state)
        state = _kept(present, new, state)
        if by_losses and method.sees_losses_after:
            state = _kept(present, method.after(step, later, state), state)
        return weights, state

    def initial_state(self, count: int) -> State:
        """The state before the first step of so many tasks."""
        tasks = [BinaryTask(f"task_{i}") for i in range(count)]
        state = self.method.initial_state(tasks)
        return {name: tf.constant(np.asarray(value)) for name, value in state.items()}

    def part(self, state: State, count: int, rows: np.ndarray) -> State:
        """The state of `count` tasks as a model of some of them would hold it."""
        more = self.initial_state(count + 1)
        # Other axes that grow with the tasks are theirs too: a number for each pair.
        for name, value in state.items():
            for axis in np.flatnonzero(np.subtract(more[name].shape, value.shape)):
                state = state | {name: tf.gather(state[name], rows, axis=axis)}
        return state


def _kept(present: Tensor, new: State, old: State) -> State:
    """Checks a new state; returns it as a model keeps it."""
    before, after = ({k: (v.shape, v.dtype) for k, v in s.items()} for s in (old, new))
    what = "a step must keep the names, shapes and dtypes of the state"
    check.require(after == before, f"{what}. Received: {after}, not {before}.")
    return kept_where(present > 0, new, old)
