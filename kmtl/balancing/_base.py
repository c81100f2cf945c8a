"""What balancing methods see of a training step, and what they return."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal, Self, TypeAlias

import keras

from kmtl._checks import check_choice, check_positive_integer
from kmtl._typing import Config, Tensor
from kmtl.tasks import Task

State: TypeAlias = dict[str, Tensor]
"""What a method keeps between steps; the first axis of each tensor is that of tasks."""


@dataclass(frozen=True)
class Step:
    """What a balancing method sees of one training step.

    A task that does not count has no label in the batch, or a loss weight of 0. Its
    loss and its row and column of the Gramian are 0. A method must treat it as if the
    model did not have it: give the other tasks the weights that they would have then.

    Attributes:
        losses: The mean loss of each task, `(tasks,)`, without its loss weight.
        present: 1 for a task that counts and 0 for one that does not, `(tasks,)`, of
            the dtype of the losses.
        epoch: How many epochs `fit` has finished, an integer scalar.
        number: How many steps came before this one, an integer scalar.
        keys: An integer a task, `(tasks,)`, made from its name: draws that depend on
            them do not depend on which other tasks there are.
        gramian: Inner products of the gradients of the weighted losses, `(tasks,
            tasks)`, float64; `None` for methods by losses.
        constant_losses: The loss of the best constant prediction so far, `(tasks,)`;
            `None` unless the method asks for it.
    """

    losses: Tensor
    present: Tensor
    epoch: Tensor
    number: Tensor
    keys: Tensor
    gramian: Tensor | None = None
    constant_losses: Tensor | None = None


@dataclass(frozen=True)
class Balancing(abc.ABC):
    """A method that gives every task a weight in every step.

    The object holds settings only; it is frozen, and Keras can serialise it once its
    class is registered. What a method must remember is in its state, which the model
    keeps in variables and saves.
    """

    def initial_state(self, tasks: Sequence[Task]) -> Mapping[str, Any]:
        """Returns the state before the first step.

        Args:
            tasks: The tasks of the model.

        Returns:
            Arrays by name. The first axis of each is that of the tasks: what stands
            there for a task that does not count in a step stays as it is.
        """
        del tasks
        return {}

    def for_tasks(self, names: Sequence[str]) -> Self:
        """Returns the method for a model that has lost or got tasks.

        Args:
            names: Names of the tasks that it has now.

        Returns:
            This method, or one without the settings of tasks that are gone.
        """
        del names
        return self

    @abc.abstractmethod
    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        """Weighs the tasks.

        Args:
            step: What is known of the step.
            state: The state so far.

        Returns:
            The weights, `(tasks,)`, and the new state. Weights of tasks that do not
            count are ignored.
        """

    def get_config(self) -> Config:
        """Returns the settings."""
        return {
            field.name: keras.saving.serialize_keras_object(getattr(self, field.name))
            for field in dataclasses.fields(self)
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Makes the method from its settings."""
        restore = keras.saving.deserialize_keras_object
        return cls(**{name: restore(value) for name, value in config.items()})


@dataclass(frozen=True)
class LossBalancing(Balancing):
    """A method that weighs tasks by their losses.

    The weights multiply the whole losses of tasks, in all weights of the model: of what
    tasks share and of their heads.
    """

    sees_losses_after: ClassVar[bool] = False
    """Whether `after` is called with the losses after the optimizer's step."""

    sees_constant_losses: ClassVar[bool] = False
    """Whether `Step.constant_losses` is needed."""

    def after(self, step: Step, losses: Tensor, state: State) -> State:
        """Learns from the losses of the same batch after the optimizer's step.

        Args:
            step: What was known before it.
            losses: `(tasks,)`, as `step.losses`.
            state: The state that the call for the same step returned.

        Returns:
            The new state.
        """
        del step, losses
        return state


@dataclass(frozen=True)
class GradientBalancing(Balancing):
    """A method that weighs tasks by the inner products of their gradients.

    The weights act on what tasks share. What belongs to one task alone, such as its
    head, is trained by the gradient of its own loss times its loss weight.

    Args:
        at: Where the gradients are taken. `"representation"`: at the last tensors that
            tasks share, which costs little more than plain training. `"shared"`: over
            all shared weights, exactly, which costs about one more backward pass of
            the trunk a task.
        every: In which steps the weights are computed: one in so many. In the others
            the last ones are used.
        weighted_heads: Whether the weights act on the heads too.
    """

    _: KW_ONLY
    at: Literal["representation", "shared"] = "representation"
    every: int = 1
    weighted_heads: bool = False

    is_loop: ClassVar[bool] = False
    """Whether a step is many small operations, quicker when compiled to one by XLA."""

    def __post_init__(self) -> None:
        check_choice(self.at, ("representation", "shared"), "at")
        check_positive_integer(self.every, "every")
