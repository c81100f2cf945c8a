"""The sum of the gradients after each is projected."""

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
class UPGrad(GradientBalancing):
    """Unconflicting projection of gradients: the step makes no task worse.

    Each gradient is moved as little as possible until it conflicts with no task (until
    its inner products with all gradients are at least 0), and the results are summed.
    The sum conflicts with none, and a task's part in it grows with its gradient.

    The weights are `w = sum_t v_t`, where `v_t` minimises `v'Cv` over `v >= e_t`, with
    `C = G / trace(G) + 1e-4 I` as in TorchJD: the identity bounds the weights. Without
    conflict they are 1. What is proved is `Cw >= 0`, so `(Gw)_t` may be as low as
    `-1e-4 trace(G) w_t`. The optimality conditions of `v_t`, that the smaller of `(C
    v_t)_i` and `(v_t - e_t)_i` is 0, hold to 1e-6 when all gradients are divided by
    their lengths, `sqrt(C_ii)`.

    Reference:
        Quinton and Rey, "Jacobian Descent for Multi-Objective Optimization", 2024,
        https://arxiv.org/abs/2406.16232. They take the mean of the projections; the sum
        keeps a learning rate that suits equal weights.

    Example:
        >>> import kmtl
        >>> model = kmtl.build_mtl_model(
        ...     (8,),
        ...     [kmtl.BinaryTask("a"), kmtl.RegressionTask("b")],
        ...     balancing=kmtl.balancing.UPGrad(),
        ... )
    """

    is_loop: ClassVar[bool] = True

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        matrix, lengths = ridged(step.gramian)
        # Column t: v = e_t + x l_t / l, in units in which task t has length 1.
        added = minimize_nonnegative(matrix, matrix, TOLERANCE)
        return 1.0 + ops.matmul(added, lengths) / lengths, state
