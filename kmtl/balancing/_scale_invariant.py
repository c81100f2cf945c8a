"""The sum of the logarithms of the losses."""

from dataclasses import dataclass

import keras

from kmtl._typing import Tensor
from kmtl.balancing._base import LossBalancing, State, Step
from kmtl.balancing._logs import bounded_exp, has_log, log_where, ones_beside


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class ScaleInvariant(LossBalancing):
    """Minimises the sum of the logarithms of the losses.

    The weight of a task is `1 / L`, so its unit of measure does not matter, and each
    task counts by the relative change of its loss. The weights grow as training goes
    on: tune the learning rate for it. `GLS` has the same directions at the scale of
    the losses.

    A task whose loss is not positive has weight 1 in that step.

    Reference:
        The baseline "SI" of Navon et al., "Multi-Task Learning as a Bargaining Game",
        ICML 2022, https://arxiv.org/abs/2202.01017.

    Example:
        >>> import kmtl
        >>> kmtl.balancing.ScaleInvariant()
        ScaleInvariant()
    """

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        mask = has_log(step.losses, step.present)
        weights = bounded_exp(-log_where(mask, step.losses))
        return ones_beside(mask, weights), state
