"""The geometric mean of the losses."""

from dataclasses import dataclass

import keras
from keras import ops

from kmtl._typing import Tensor
from kmtl.balancing._base import LossBalancing, State, Step
from kmtl.balancing._logs import bounded_exp, has_log, log_where, ones_beside


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class GLS(LossBalancing):
    """Geometric loss strategy: minimises the geometric mean of the losses.

    A task whose loss is ten times as large counts no more than the others. The weights
    are the derivatives of the mean by the losses, `exp(mean(log L)) / (n L)`, times
    the number `n` of tasks that count, so that equal losses have weight 1. A task
    whose loss is not positive keeps weight 1 in that step and is left out of the mean.

    Reference:
        Chennupati et al., "MultiNet++: Multi-Stream Feature Aggregation and Geometric
        Loss Strategy for Multi-Task Learning", CVPR Workshops 2019,
        https://arxiv.org/abs/1904.08492. Differs by the factor `n`, and in that the
        mean is computed from logarithms, which do not underflow.

    Example:
        >>> import kmtl
        >>> model = kmtl.build_mtl_model(
        ...     (8,),
        ...     [kmtl.BinaryTask("a"), kmtl.RegressionTask("b")],
        ...     balancing=kmtl.balancing.GLS(),
        ... )
    """

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        mask = has_log(step.losses, step.present)
        logs = log_where(mask, step.losses)
        mean = ops.sum(logs) / ops.maximum(ops.sum(mask), 1)
        return ones_beside(mask, bounded_exp(mean - logs)), state
