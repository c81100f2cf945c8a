"""The shortest convex combination of the gradients."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import keras
from keras import ops

from kmtl._checks import check_choice
from kmtl._typing import Tensor
from kmtl.balancing._base import GradientBalancing, State, Step
from kmtl.balancing._limits import TINY
from kmtl.balancing._min_norm import cosines, shortest, unit


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class MGDA(GradientBalancing):
    """Multiple gradient descent algorithm: steps along the shortest combination.

    The direction is as good for all tasks to first order as for the one that gains
    least. It is 0 where no direction is good for all, which is where training ends: at
    the first Pareto-stationary point, however good the mean of the tasks could be.
    Short gradients have large weights, so a task that is nearly learned slows the
    others down; `normalize` changes that.

    The weights minimise `w'Gw` over `w >= 0` with `sum_t n_t w_t` fixed, where `n_t` is
    1, or what `normalize` says. They act on the gradients as they are and are scaled to
    sum to the number of tasks that count. With `n_t` the direction is therefore that of
    the shortest convex combination of the gradients divided by `n_t`.

    So that the weights are unique, 1e-5 of each squared length is added to the diagonal
    of `G`. Up to that, `d'g_t >= n_t |d|^2` holds for the direction `d` with `sum_t n_t
    w_t = 1`, to about 1e-6 of the length of `g_t` times that of the shortest `g / n`.

    Args:
        normalize: What the gradients are divided by: nothing (`None`), their lengths
            (`"gradient"`), their losses without loss weights (`"loss"`), or both
            (`"loss_gradient"`). Losses must be positive for the last two.

    Reference:
        Desideri, "Multiple-gradient Descent Algorithm (MGDA) for Multiobjective
        Optimization", 2012. Sener and Koltun, "Multi-Task Learning as Multi-Objective
        Optimization", 2018, https://arxiv.org/abs/1810.04650. Their weights sum to 1,
        and their code normalises the gradients to find the weights, `n_t w_t` here, but
        applies these to the gradients as they were, which may then conflict.

    Example:
        >>> import kmtl
        >>> model = kmtl.build_mtl_model(
        ...     (8,),
        ...     [kmtl.BinaryTask("a"), kmtl.RegressionTask("b")],
        ...     balancing=kmtl.balancing.MGDA(normalize="gradient"),
        ... )
    """

    normalize: Literal["gradient", "loss", "loss_gradient"] | None = None

    is_loop: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        choices = (None, "gradient", "loss", "loss_gradient")
        check_choice(self.normalize, choices, "normalize")

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        matrix, lengths = cosines(step.gramian)
        present = ops.cast(step.present, lengths.dtype)
        share = present * self._divisors(step, lengths) / lengths
        weights = shortest(matrix, unit(share)) / lengths
        total = ops.maximum(ops.sum(weights), TINY)
        return weights * ops.sum(present) / total, state

    def _divisors(self, step: Step, lengths: Tensor) -> Tensor:
        ones = ops.ones_like(lengths)
        by_length = self.normalize in ("gradient", "loss_gradient")
        divisors = lengths if by_length else ones
        if self.normalize in ("loss", "loss_gradient"):
            losses = ops.cast(step.losses, lengths.dtype)
            divisors = divisors * ops.where(losses > 0, losses, ones)
        return divisors
