"""The bargaining solution of Nash."""

from dataclasses import dataclass

import keras
from keras import ops

from kmtl._checks import check_positive
from kmtl._typing import Tensor
from kmtl.balancing._base import GradientBalancing, State, Step
from kmtl.balancing._directions import as_weights, directions
from kmtl.balancing._fair_solver import fair_combination


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class NashMTL(GradientBalancing):
    """Nash-MTL: the update on which tasks would agree in Nash's bargaining game.

    The weights solve `G w = 1 / w`. The update does not depend on the scale of any
    loss, nor on that of all of them: its length is the square root of the number of
    tasks, or `max_norm` if that is less. So the scale of this method is its own, and so
    is the best learning rate. The equations hold to a relative 1e-7. Near a point where
    gradients cancel, weights grow to at most about 1000 times those of gradients that
    do not conflict.

    Args:
        max_norm: The largest length of the update; `None` for no limit.
        **settings: See `GradientBalancing`.

    Raises:
        ValueError: If `max_norm` is not positive.

    Reference:
        Navon et al., "Multi-Task Learning as a Bargaining Game", ICML 2022,
        https://arxiv.org/abs/2202.01017, and https://github.com/AvivNavon/nash-mtl.
        Solved by Newton's method, not by a sequence of convex programs. The authors'
        code multiplies the weights by the square root of the norm of `G` before the
        length is limited, so there updates shorter than `max_norm` keep a length that
        depends on the losses.

    Example:
        >>> import kmtl
        >>> kmtl.balancing.NashMTL(max_norm=2.0, every=10).max_norm
        2.0
    """

    max_norm: float | None = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_norm is not None:
            check_positive(self.max_norm, "max_norm")

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        gradients = directions(step)
        units = fair_combination(gradients, alpha=1.0)
        if self.max_norm is not None:
            square = ops.sum(units * ops.matmul(gradients.cosines, units))
            norm = ops.sqrt(ops.maximum(square, 0.0))
            units = units * (self.max_norm / ops.maximum(norm, self.max_norm))
        return as_weights(gradients, units / gradients.lengths, step), state
