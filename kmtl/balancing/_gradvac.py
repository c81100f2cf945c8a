"""Gradients that are as similar as those of the same two tasks used to be."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, NamedTuple

import keras
import numpy as np
from keras import ops

from kmtl._checks import check_count, check_share
from kmtl._typing import Tensor
from kmtl.balancing._base import GradientBalancing, State, Step
from kmtl.balancing._directions import (
    ROUNDING,
    Directions,
    as_weights,
    directions,
)
from kmtl.balancing._visits import visits
from kmtl.tasks import Task

# No gradient is turned closer to another one than this: it would need any length.
_LARGEST_COSINE = 1 - 5e-7


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class GradVac(GradientBalancing):
    """Gradient vaccine: holds the cosines of gradients at their running averages.

    As `PCGrad`, but the gradient of a task is not only changed where it conflicts with
    another one. Where its cosine with one is below the average of that pair, as much of
    the other gradient is added as brings it there. The averages start at 0, so the
    first step is that of `PCGrad`.

    Args:
        beta: How far an average moves towards the cosine of a step, from 0 to 1.
        seed: Of the random orders. They depend on the names of the tasks, not on their
            order in the model.
        **settings: See `GradientBalancing`.

    Reference:
        Wang et al., "Gradient Vaccine: Investigating and Improving Multi-task
        Optimization in Massively Multilingual Models", ICLR 2021,
        https://arxiv.org/abs/2010.05874, algorithm 1, for all shared weights as one
        group. `beta` is 0.5 as in LibMTL and TorchJD.

    Example:
        >>> import kmtl
        >>> kmtl.balancing.GradVac(0.1).beta
        0.1
    """

    beta: float = 0.5
    _: KW_ONLY
    seed: int = 0

    is_loop: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(self.beta, "beta")
        check_count(self.seed, "seed")

    def initial_state(self, tasks: Sequence[Task]) -> Mapping[str, Any]:
        """Returns average cosines of 0."""
        return {"cosines": np.zeros((len(tasks), len(tasks)))}

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        gradients = directions(step)
        averages = state["cosines"]
        adjusted = _adjust(gradients, averages, visits(step, self.seed))
        moved = averages + self.beta * (adjusted.cosines - averages)
        averages = ops.where(_others(gradients), moved, averages)
        weights = ops.matmul(gradients.lengths, adjusted.coefficients)
        weights = as_weights(gradients, weights / gradients.lengths, step)
        return weights, {"cosines": averages}


class _Adjusted(NamedTuple):
    """Unit gradients on their way through the others.

    Attributes:
        coefficients: Each as a combination of the given ones, `(tasks, tasks)`.
        squares: The squares of their lengths, `(tasks,)`.
        cosines: Those with each of the given ones when they met, `(tasks, tasks)`.
    """

    coefficients: Tensor
    squares: Tensor
    cosines: Tensor


def _adjust(gradients: Directions, targets: Tensor, pairs: Tensor) -> _Adjusted:
    """Turns unit gradients to the target cosines, in the orders of `visits`."""
    count = targets.shape[0]
    targets = ops.clip(targets, -_LARGEST_COSINE, _LARGEST_COSINE)
    # A cosine is never below -1: nothing is added.
    targets = ops.where(_others(gradients), targets, -1.0)

    def meet(place: Tensor, now: _Adjusted) -> tuple[Tensor, _Adjusted]:
        pair = pairs[place]
        given = ops.take(gradients.cosines, pair[:, 1], axis=0)
        products = ops.sum(given * now.coefficients, axis=1)
        goals = ops.take_along_axis(targets, pair[:, 1:], axis=1)[:, 0]
        # Of gradients that cancel, nothing is left to turn.
        lengths = ops.sqrt(ops.maximum(now.squares, ROUNDING))
        cosines = ops.clip(products / lengths, -1, 1)
        cosines = ops.where(now.squares > ROUNDING, cosines, goals)
        added = lengths * _addition(cosines, goals)
        return place + 1, _Adjusted(
            ops.scatter_update(now.coefficients, pair, added, reduction="add"),
            now.squares + added * (2 * products + added),
            ops.scatter_update(now.cosines, pair, cosines),
        )

    eye = ops.eye(count, dtype=gradients.cosines.dtype)
    start = (0, _Adjusted(eye, ops.ones_like(gradients.live), ops.zeros_like(eye)))
    return ops.while_loop(lambda place, _: place < count, meet, start)[1]


def _others(gradients: Directions) -> Tensor:
    """Whether two tasks are different ones with gradients, `(tasks, tasks)`."""
    live = gradients.live > 0
    return live & live[:, None] & ops.logical_not(ops.eye(live.shape[0], dtype="bool"))


def _addition(cosine: Tensor, target: Tensor) -> Tensor:
    """How much of a second unit vector turns a first one to a cosine, at least 0."""
    sine, target_sine = ops.sqrt(1 - cosine**2), ops.sqrt(1 - target**2)
    is_below = cosine < target
    cotangent = target / ops.where(is_below, target_sine, 1.0)
    return ops.where(is_below, cotangent * sine - cosine, 0.0)
