"""What a balancing method remembers, in variables that are saved with the model."""

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kmtl._training._constant_losses import ConstantLosses
from kmtl._typing import Tensor
from kmtl.balancing import (
    Balancing,
    GradientBalancing,
    LossBalancing,
    State,
    Step,
)
from kmtl.layers._per_task import derive_seed
from kmtl.layers._state import add_state
from kmtl.tasks import Task


class BalancingState(keras.layers.Layer):
    """The weights of the tasks and the state of the method that makes them.

    It is no layer of the graph: a layer is what Keras saves as a part of a model.

    Args:
        method: The method.
        tasks: The tasks of the model.

    Attributes:
        method: The method.
        task_names: The names of the tasks.
        weights_of_tasks: The last weights, `(tasks,)`; 1 at first.
        epoch: How many epochs `fit` has finished.
        constant_losses: Estimates the losses of constant predictions, for methods that
            ask for them.
    """

    def __init__(
        self,
        method: Balancing,
        tasks: Sequence[Task],
        constant_losses: ConstantLosses | None = None,
    ) -> None:
        super().__init__(name="balancing", dtype="float64", trainable=False)
        self.method = method
        self.task_names = [task.name for task in tasks]
        self._keys = np.array([derive_seed("balancing", task.name) for task in tasks])
        # All replicas compute the same: from sums over all of them.
        add = functools.partial(add_state, self, aggregation="only_first_replica")
        self.weights_of_tasks = add("weights", np.ones(len(tasks)))
        self.epoch = add("epoch", 0, dtype="int32")
        self.number = add("number", 0, dtype="int32")
        self.values = {
            name: add(name, value, dtype=np.asarray(value).dtype.name)
            for name, value in method.initial_state(tasks).items()
        }
        self.constant_losses = constant_losses
        self.built = True

    def step(self, losses: Tensor, present: Tensor, **more: Any) -> Step:
        """Describes a step.

        Args:
            losses: The mean losses, `(tasks,)`.
            present: Which tasks count, boolean, `(tasks,)`.
            **more: Other fields of the step.
        """
        losses = ops.where(present, ops.cast(losses, "float64"), 0.0)
        return Step(
            losses=losses,
            present=ops.cast(present, losses.dtype),
            epoch=_now(self.epoch),
            number=_now(self.number),
            keys=ops.convert_to_tensor(self._keys, dtype="int64"),
            **more,
        )

    def now(self) -> State:
        """The state of the method before the step."""
        return {name: _now(variable) for name, variable in self.values.items()}

    def last_weights(self) -> Tensor:
        """The weights of the tasks in the step before, `(tasks,)`."""
        return _now(self.weights_of_tasks)

    def weigh(self, step: Step) -> tuple[Tensor, State]:
        """Asks the method for weights.

        Returns:
            The weights, `(tasks,)`, and the new state.
        """
        state = self.now()
        weights, new = self._ask(step, state)
        # With an overflow, as mixed precision has them at first, nothing is learnt.
        usable = ops.all(ops.isfinite(weights) | (step.present == 0))
        if step.gramian is not None:
            usable &= ops.all(ops.isfinite(step.gramian))
        changed = (step.present > 0) & usable
        weights = ops.where(changed, weights, self.last_weights())
        return weights, kept_where(changed, new, state)

    def _ask(self, step: Step, state: State) -> tuple[Tensor, State]:
        method = self.method
        is_loop = isinstance(method, GradientBalancing) and method.is_loop
        if not is_loop or tf.executing_eagerly():
            return method(step, state)
        # Of a loop of small operations, most of the time goes to starting them.
        return tf.function(lambda: method(step, state), jit_compile=True)()

    def after(self, step: Step, losses: Tensor, state: State) -> State:
        """Lets a method by losses learn from the losses after the optimizer's step."""
        method: Any = self.method
        losses = ops.where(step.present > 0, ops.cast(losses, "float64"), 0.0)
        new = method.after(step, losses, state)
        usable = ops.all(ops.isfinite(losses))
        return kept_where((step.present > 0) & usable, new, state)

    def assign(self, weights: Tensor, state: State) -> None:
        """Keeps weights and state, and counts the step."""
        self.weights_of_tasks.assign(weights)
        for name, variable in self.values.items():
            variable.assign(state[name])
        self.number.assign_add(1)

    @property
    def sees_losses_after(self) -> bool:
        """Whether the losses after the step are needed."""
        return isinstance(self.method, LossBalancing) and self.method.sees_losses_after

    def carry(self, other: "BalancingState") -> None:
        """Takes over the state of tasks that both know; others start as they do.

        Args:
            other: That of the same method in a model of other tasks, more or fewer.
        """
        known = [name for name in self.task_names if name in other.task_names]
        ours = [self.task_names.index(name) for name in known]
        theirs = [other.task_names.index(name) for name in known]
        old = other._by_name()
        for name, variable in self._by_name().items():
            values, start = map(ops.convert_to_numpy, (old[name], variable))
            variable.assign(_carried(values, start.copy(), theirs, ours))
        if self.constant_losses is not None and other.constant_losses is not None:
            self.constant_losses.carry(other.constant_losses)

    def _by_name(self) -> dict[str, Any]:
        """Variables by name; those of the method have its own in it."""
        method = type(self.method).__name__
        return {
            f"{method}_weights": self.weights_of_tasks,
            "epoch": self.epoch,
            "number": self.number,
            **{f"{method}_{name}": value for name, value in self.values.items()},
        }

    def save_own_variables(self, store: Any) -> None:
        """Saves the state by name."""
        for name, variable in self._by_name().items():
            store[name] = ops.convert_to_numpy(variable)

    def load_own_variables(self, store: Any) -> None:
        """Loads the state; nothing from a file of another method or of none."""
        variables = self._by_name()
        if set(store.keys()) == set(variables):
            for name, variable in variables.items():
                variable.assign(store[name])


def _now(variable: Any) -> Tensor:
    """The value at this place of a graph, whatever is assigned later."""
    return ops.convert_to_tensor(variable.value)


def _carried(
    values: np.ndarray, start: np.ndarray, theirs: list[int], ours: list[int]
) -> np.ndarray:
    """Puts values of tasks in the places that these have now, in each axis of tasks."""
    # The numbers of tasks differ: so do the lengths of their axes, and of no others.
    sizes = list(zip(values.shape, start.shape, strict=True))
    if not sizes:
        return values
    taken = [theirs if old != new else list(range(old)) for old, new in sizes]
    put = [ours if old != new else list(range(new)) for old, new in sizes]
    start[np.ix_(*put)] = values[np.ix_(*taken)]
    return start


def kept_where(changed: Tensor, new: State, old: State) -> State:
    """Keeps of a new state what it says of some tasks; of the others the old one.

    Args:
        changed: For which tasks, boolean, `(tasks,)`.
        new: The new state.
        old: The old one.
    """
    return {
        name: ops.where(
            ops.reshape(changed, (-1,) + (1,) * (len(value.shape) - 1)),
            new[name],
            value,
        )
        for name, value in old.items()
    }
