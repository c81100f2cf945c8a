"""The sum of the gradients after each is projected."""

from dataclasses import dataclass

import keras
from keras import ops

from kmtl._typing import Tensor
from kmtl.balancing._base import GradientBalancing, State, Step
from kmtl.balancing._dual_cone import TOLERANCE, ridged
from kmtl.balancing._nonnegative import minimize_nonnegative


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class UPGrad(GradientBalancing):
    """Unconflicting projection of gradients: no task gets worse, each has its say.

    Each gradient is moved as little as possible until it conflicts with no task (until
    its inner products with all gradients are at least 0), and the results are summed.
    So the step conflicts with none, and a task's part in it grows with its gradient.

    The weights are `w = sum_t v_t`, where `v_t` minimises `v'Gv` over `v >= e_t`. Tasks
    that do not conflict have weight 1. As in TorchJD, `G` is `G / trace(G) + 1e-4 I`
    here, which bounds the weights. So `(Gw)_t >= -1e-4 trace(G) w_t` is what holds
    exactly: a conflict with a gradient shorter than a hundredth of all together may
    stay. The problems are solved together, to 1e-6 of the length of `g_t`.

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

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        matrix, lengths = ridged(step.gramian)
        # Column t: v = e_t + x l_t / l, in units in which task t has length 1.
        added = minimize_nonnegative(matrix, matrix, TOLERANCE)
        return 1.0 + ops.matmul(added, lengths) / lengths, state
