"""Weights by which all losses fall at the same rate."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, ClassVar, Self

import keras
import numpy as np
from keras import ops

from kmtl._checks import (
    check_known_keys,
    check_mapping,
    check_number,
    check_positive,
    check_weight,
)
from kmtl._typing import ByTask, Tensor
from kmtl.balancing._adam import learn, learned
from kmtl.balancing._base import LossBalancing, State, Step
from kmtl.balancing._logs import has_log, log_where, ones_beside, softmax_where
from kmtl.tasks import Task


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class FAMO(LossBalancing):
    """Fast adaptive multitask optimization: lets the logarithms of losses fall evenly.

    The weights are `n z / D` by the sum of `z / D`, where `D = L - min_losses`, `z` is
    the softmax of one learned number a task and `n` the number of tasks that count:
    equal losses start with weight 1. After the optimizer's step the losses of the
    same batch are computed once more, with the same dropout and without touching any
    state: tasks whose `log(D)` fell more than the others' lose weight. It costs that
    second pass, and the unit of measure of a loss does not matter.

    A task with `D` not positive has weight 1 in that step and learns nothing.

    Args:
        learning_rate: Of the Adam that learns the numbers.
        gamma: Decay of the learned numbers, added to their gradients. Published code
            has 0 (the authors' toy problem), 1e-5, 0.01 (the authors') and 1e-3
            (LibMTL, TorchJD). It outweighs small changes of the losses: on the toy
            problem all five starting points reach the Pareto front with 0 and 1e-6,
            three of them with 1e-5 and more.
        min_losses: The smallest loss that is possible, by task name; 0 where not given.

    Raises:
        TypeError: If `min_losses` is no dict.
        ValueError: If a number is not valid, or, when the model is compiled, if
            `min_losses` names a task that the model does not have.

    Reference:
        Liu et al., "FAMO: Fast Adaptive Multitask Optimization", NeurIPS 2023,
        https://arxiv.org/abs/2306.03792, and https://github.com/Cranial-XIX/FAMO.
        Differs by the factor `n`, adds nothing to `D`, and leaves the clipping of
        gradients to the optimizer.

    Example:
        >>> import kmtl
        >>> method = kmtl.balancing.FAMO(min_losses={"age": 0.2})
    """

    _: KW_ONLY
    learning_rate: float = 0.025
    gamma: float = 1e-6
    min_losses: ByTask | None = field(default=None, hash=False)

    sees_losses_after: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive(self.learning_rate, "learning_rate")
        check_weight(self.gamma, "gamma")
        if self.min_losses is not None:
            check_mapping(self.min_losses, "min_losses", "numbers by task name")
            for name, value in self.min_losses.items():
                check_number(value, f"min_losses[{name!r}]")

    def initial_state(self, tasks: Sequence[Task]) -> Mapping[str, Any]:
        """Returns equal logits and the smallest losses."""
        given = self.min_losses or {}
        check_known_keys(given, [task.name for task in tasks], "min_losses")
        smallest = np.array([float(given.get(task.name, 0.0)) for task in tasks])
        return {**learned(len(tasks)), "min_losses": smallest}

    def for_tasks(self, names: Sequence[str]) -> Self:
        """Returns the method without the smallest losses of tasks that are gone."""
        given = self.min_losses or {}
        kept = {name: value for name, value in given.items() if name in names}
        return self if kept == given else replace(self, min_losses=kept)

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        mask, logs = _log_excess(step.losses, step.present, state)
        shares = softmax_where(mask, state["learned"] - logs)
        return ones_beside(mask, ops.sum(mask) * shares), state

    def after(self, step: Step, losses: Tensor, state: State) -> State:
        """Moves the learned numbers against the fall of the logarithms."""
        mask, before = _log_excess(step.losses, step.present, state)
        mask, now = _log_excess(losses, mask, state)
        shares = softmax_where(mask, state["learned"])
        fall = before - now
        gradient = shares * (fall - ops.sum(shares * fall))  # through the softmax
        gradient = gradient + self.gamma * state["learned"]
        return learn(state, gradient, mask, self.learning_rate)


def _log_excess(losses: Tensor, mask: Tensor, state: State) -> tuple[Tensor, Tensor]:
    """Returns where losses are above the smallest ones, and the log of by how much."""
    excess = losses - state["min_losses"]
    mask = has_log(excess, mask)
    return mask, log_where(mask, excess)
