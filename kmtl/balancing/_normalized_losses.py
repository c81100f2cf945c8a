"""Losses relative to those of a constant prediction."""

from dataclasses import dataclass
from typing import ClassVar

import keras

from kmtl._typing import Tensor
from kmtl.balancing._base import LossBalancing, State, Step
from kmtl.balancing._logs import bounded_exp, has_log, log_where, ones_beside


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class NormalizedLosses(LossBalancing):
    """Divides each loss by that of the best constant prediction.

    What is left is the share of a task's loss that the inputs have not explained: 1 for
    a model that knows nothing, 0 for one that knows all, whatever the kind of the task,
    its number of classes or its unit of measure. The constants are estimated from the
    labels seen so far, so the weights hardly move after the first steps.

    A task whose labels have all been equal so far has weight 1.

    Reference:
        For binary tasks this is the normalised entropy of He et al., "Practical Lessons
        from Predicting Clicks on Ads at Facebook", ADKDD 2014, for regression the
        normalised mean squared error.

    Example:
        >>> import kmtl
        >>> kmtl.balancing.NormalizedLosses()
        NormalizedLosses()
    """

    sees_constant_losses: ClassVar[bool] = True

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        mask = has_log(step.constant_losses, step.present)
        weights = bounded_exp(-log_where(mask, step.constant_losses))
        return ones_beside(mask, weights), state
