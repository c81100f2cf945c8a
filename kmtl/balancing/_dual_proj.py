"""The sum of the gradients, projected."""

from dataclasses import dataclass

import keras
from keras import ops

from kmtl._typing import Tensor
from kmtl.balancing._base import GradientBalancing, State, Step
from kmtl.balancing._dual_cone import TOLERANCE, ridged
from kmtl.balancing._nonnegative import minimize_nonnegative


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class DualProj(GradientBalancing):
    """Projects the sum of the gradients where it conflicts with no task.

    The sum is moved as little as possible until its inner products with all gradients
    are at least 0. Where the sum does not conflict, this is plain training.

    The weights minimise `w'Gw` over `w >= 1`. As in TorchJD, `G` is `G / trace(G) + 1e-4
    I` here, which bounds them. So `(Gw)_t >= -1e-4 trace(G) w_t` is what holds exactly,
    to 1e-6 of the longest product of a gradient with the sum.

    Reference:
        Lopez-Paz and Ranzato, "Gradient Episodic Memory for Continual Learning", 2017,
        https://arxiv.org/abs/1706.08840, equation 11. TorchJD projects the mean; the
        sum keeps a learning rate that suits equal weights.

    Example:
        >>> import kmtl
        >>> model = kmtl.build_mtl_model(
        ...     (8,),
        ...     [kmtl.BinaryTask("a"), kmtl.RegressionTask("b")],
        ...     balancing=kmtl.balancing.DualProj(),
        ... )
    """

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        matrix, lengths = ridged(step.gramian)
        # w = 1 + x / l. An absent task has no product with any, so it has x = 0 ...
        slopes = ops.matmul(matrix, lengths[:, None])
        added = minimize_nonnegative(matrix, slopes, TOLERANCE)
        return 1.0 + added[:, 0] / lengths, state
