"""No balancing."""

from dataclasses import dataclass

import keras
from keras import ops

from kmtl._typing import Tensor
from kmtl.balancing._base import LossBalancing, State, Step


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class FixedWeights(LossBalancing):
    """Weight 1 for every task: the loss weights alone decide; the default.

    `model.compile(balancing=FixedWeights())` turns a method off. Tuned loss weights are
    hard to beat: read the papers below before reaching for another method.

    Reference:
        Xin et al., "Do Current Multi-Task Optimization Methods in Deep Learning Even
        Help?", NeurIPS 2022, https://arxiv.org/abs/2209.11379.
        Kurin et al., "In Defense of the Unitary Scalarization for Deep Multi-Task
        Learning", NeurIPS 2022, https://arxiv.org/abs/2201.04122.

    Example:
        >>> import kmtl
        >>> kmtl.balancing.FixedWeights()
        FixedWeights()
    """

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        return ops.ones_like(step.losses), state
