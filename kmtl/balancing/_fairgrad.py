"""Weights that are fair to tasks, by a measure of choice."""

from dataclasses import dataclass

import keras

from kmtl._checks import is_number
from kmtl._typing import Tensor
from kmtl.balancing._base import GradientBalancing, State, Step
from kmtl.balancing._directions import as_weights, directions
from kmtl.balancing._fair_solver import fair_combination


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class FairGrad(GradientBalancing):
    """Fair resource allocation: alpha-fairness of what tasks gain.

    The weights solve `(G w)_t = w_t ** (-1 / alpha)`. With `alpha=1` that is `NashMTL`
    without its limit. As `alpha` grows, more counts the task that gains least; as it
    falls, the update nears the plain sum. The length of the update is not that of the
    gradients, so the scale of this method is its own, and so is the best learning rate.

    Args:
        alpha: From 0.2 to 10. From 0.5 the equations hold to a relative 1e-6 if the
            gradients differ in length by up to 100 times, with 1 if they differ by up
            to 1e6 times. Elsewhere the solution may be coarser.
        **settings: See `GradientBalancing`.

    Raises:
        ValueError: If `alpha` is not from 0.2 to 10.

    Reference:
        Ban and Ji, "Fair Resource Allocation in Multi-Task Learning", ICML 2024,
        https://arxiv.org/abs/2402.15638. Solved by Newton's method, not by nonlinear
        least squares.

    Example:
        >>> import kmtl
        >>> kmtl.balancing.FairGrad(2.0).alpha
        2.0
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_number(self.alpha) or not 0.2 <= self.alpha <= 10:
            raise ValueError(
                f"`alpha` must be from 0.2 to 10. Received: {self.alpha!r}. Below is "
                "`FixedWeights`, above is `MGDA`."
            )

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        gradients = directions(step)
        units = fair_combination(gradients, self.alpha)
        return as_weights(gradients, units / gradients.lengths, step), state
