"""Weights by which all gradients have the same share in the update."""

from dataclasses import dataclass

import keras
from keras import ops

from kmtl._typing import Tensor
from kmtl.balancing._base import GradientBalancing, State, Step
from kmtl.balancing._directions import as_weights, directions
from kmtl.balancing._equal_angles import equal_angles

# The magnitudes of the weights sum to at most this times the number of tasks.
_LARGEST_MEAN = 10.0


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class IMTLG(GradientBalancing):
    """Impartial multi-task learning: the update has the same angle with all gradients.

    The weights sum to the number of tasks; some may be negative. The direction of the
    update does not depend on the scale of any loss. Gradients that only point against
    each other leave no such direction: their weights are 0.

    Args:
        **settings: See `GradientBalancing`.

    Reference:
        Liu et al., "Towards Impartial Multi-task Learning", ICLR 2021, IMTL-G,
        https://openreview.net/forum?id=IMPnRXEWpvr. Differs by the factor `tasks`, and
        in two cases in which the published inverse fails. Gradients that depend on each
        other: the pseudo-inverse of their cosines is used. Weights of both signs that
        nearly cancel: where the sum of the magnitudes of the weights would be above 10
        times the number of tasks, they are scaled to that, and never change their sign.

    Example:
        >>> import kmtl
        >>> kmtl.balancing.IMTLG(every=4)
        IMTLG(at='representation', every=4, weighted_heads=False)
    """

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        gradients = directions(step)
        coefficients, square = equal_angles(gradients)
        shares = coefficients / gradients.lengths
        total = ops.maximum(ops.sum(shares), ops.sum(ops.abs(shares)) / _LARGEST_MEAN)
        weights = gradients.count * shares / ops.where(square > 0, total, 1.0)
        return as_weights(gradients, weights, step), state
