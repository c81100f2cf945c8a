"""Random weights."""

import math
from dataclasses import dataclass

import keras
from keras import ops

from kmtl._checks import check_count
from kmtl._typing import Tensor
from kmtl.balancing._base import LossBalancing, State, Step
from kmtl.balancing._draws import draw_by_task
from kmtl.balancing._logs import ones_beside, softmax_where


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class RLW(LossBalancing):
    """Random loss weighting: other weights in every step, 1 on average.

    The weights are `n softmax(z)` for `n` tasks that count and draws `z` from a normal
    distribution. What a method by losses should beat; noise alone sometimes helps.

    Args:
        seed: An integer of at least 0. The draws depend on it, on the step and on the
            name of the task.

    Raises:
        ValueError: If `seed` is no integer of at least 0.

    Reference:
        Lin et al., "Reasonable Effectiveness of Random Weighting: A Litmus Test for
        Multi-Task Learning", TMLR 2022, https://arxiv.org/abs/2111.10603. Differs by
        the factor `n`.

    Example:
        >>> import kmtl
        >>> kmtl.balancing.RLW(seed=1)
        RLW(seed=1)
    """

    seed: int = 0

    def __post_init__(self) -> None:
        check_count(self.seed, "seed")

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        normal = math.sqrt(2) * ops.erfinv(2 * draw_by_task(step, self.seed) - 1)
        shares = softmax_where(step.present, normal)
        return ones_beside(step.present, ops.sum(step.present) * shares), state
