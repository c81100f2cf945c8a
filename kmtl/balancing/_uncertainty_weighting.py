"""Weights from a learned noise of each task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kmtl._checks import check_positive
from kmtl._typing import Tensor
from kmtl.balancing._adam import learn, learned
from kmtl.balancing._base import LossBalancing, State, Step
from kmtl.balancing._logs import bounded_exp, has_log, log_where
from kmtl.tasks import RegressionTask, Task


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class UncertaintyWeighting(LossBalancing):
    """Homoscedastic uncertainty: learns the noise of each task and divides by it.

    Minimises `f exp(-s) L + s / 2` over the weights of the model and over one number
    `s`, the logarithm of the variance, a task. `f` is 1/2 for regression and 1 for
    classification. The weight is `f exp(-s)`: it starts at `f` and goes towards
    `1 / (2 L)`, where a task's unit of measure does not matter any more.

    A loss that is not positive teaches nothing: `s` stays in that step.

    Args:
        learning_rate: Of the Adam that learns `s`. Published code either trains `s`
            with the optimizer of the model or by a rate of its own: 0.025 is that of
            the benchmarks of Nash-MTL, https://github.com/AvivNavon/nash-mtl.

    Raises:
        ValueError: If `learning_rate` is not positive.

    Reference:
        Kendall et al., "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene
        Geometry and Semantics", CVPR 2018, https://arxiv.org/abs/1705.07115,
        equations 7 and 10. `s` starts at 0.

    Example:
        >>> import kmtl
        >>> kmtl.balancing.UncertaintyWeighting()
        UncertaintyWeighting(learning_rate=0.025)
    """

    learning_rate: float = 0.025

    def __post_init__(self) -> None:
        check_positive(self.learning_rate, "learning_rate")

    def initial_state(self, tasks: Sequence[Task]) -> Mapping[str, Any]:
        """Returns `s = 0` and the factor of each task by its kind."""
        factors = [0.5 if isinstance(task, RegressionTask) else 1.0 for task in tasks]
        return {**learned(len(tasks)), "factor": np.array(factors)}

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        mask = has_log(step.losses, step.present)
        logs = log_where(mask, step.losses) + ops.log(state["factor"])
        gradient = 0.5 - bounded_exp(logs - state["learned"])
        weights = state["factor"] * bounded_exp(-state["learned"])
        return weights, learn(state, gradient, mask, self.learning_rate)
