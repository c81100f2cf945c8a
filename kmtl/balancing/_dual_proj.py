"""The sum of the gradients, projected."""

from dataclasses import dataclass
from typing import ClassVar

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

    The weights minimise `w'Cw` over `w >= 1`, with `C = G / trace(G) + 1e-4 I` as in
    TorchJD: the identity bounds the weights. What is proved is `Cw >= 0`, so `(Gw)_t`
    may be as low as `-1e-4 trace(G) w_t`. The optimality conditions hold to 1e-6 of the
    length of `g_t` times `sqrt(trace(G))`.

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

    is_loop: ClassVar[bool] = True

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        matrix, lengths = ridged(step.gramian)
        # Solved for what is added to weights of 1, in units of the gradients' lengths.
        slopes = ops.matmul(matrix, lengths[:, None])
        added = minimize_nonnegative(matrix, slopes, TOLERANCE)
        return 1.0 + added[:, 0] / lengths, state
