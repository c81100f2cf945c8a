"""The update that has the same angle with all gradients, with a length of its own."""

from dataclasses import dataclass

import keras
from keras import ops

from kmtl._typing import Tensor
from kmtl.balancing._base import GradientBalancing, State, Step
from kmtl.balancing._directions import as_weights, directions
from kmtl.balancing._equal_angles import equal_angles


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class ConFIG(GradientBalancing):
    """Conflict-free inverse gradients: the same angle with all gradients.

    The direction is that of `IMTLG`. The length is the sum of the projections of the
    gradients on it, so the update shrinks as gradients conflict, and grows with every
    gradient: the scale of this method is its own. Orthogonal gradients of equal length
    have weight 1. Gradients that only point against each other leave no such direction:
    their weights are 0.

    From the Gramian alone: with cosines `C`, lengths `d` and `b = pinv(C) 1`, the
    weights are `(d C b) / (b C b) * b / d`.

    Args:
        **settings: See `GradientBalancing`.

    Reference:
        Liu et al., "ConFIG: Towards Conflict-free Training of Physics Informed Neural
        Networks", ICLR 2025, https://arxiv.org/abs/2408.11104, equations 2 and 3.

    Example:
        >>> import kmtl
        >>> kmtl.balancing.ConFIG(at="shared")
        ConFIG(at='shared', every=1, weighted_heads=False)
    """

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        gradients = directions(step)
        coefficients, square = equal_angles(gradients)
        products = ops.matmul(gradients.cosines, coefficients)
        projections = ops.sum(gradients.live * gradients.lengths * products)
        length = projections / ops.where(square > 0, square, 1.0)
        return as_weights(
            gradients, length * coefficients / gradients.lengths, step
        ), state
