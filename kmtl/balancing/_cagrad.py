"""The best direction for the worst task near the mean gradient."""

from dataclasses import dataclass
from typing import ClassVar

import keras
from keras import ops

from kmtl._checks import is_number
from kmtl._typing import Tensor
from kmtl.balancing._base import GradientBalancing, State, Step
from kmtl.balancing._limits import TINY
from kmtl.balancing._min_norm import TOLERANCE, cosines, shortest, unit
from kmtl.balancing._nonnegative import minimize_nonnegative

_MAX_LEVELS = 20


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class CAGrad(GradientBalancing):
    """Conflict-averse gradient descent: near the mean, the best for the worst task.

    Among the directions whose distance from the mean gradient `g0` is at most
    `strength` times its length, it takes the one whose smallest inner product with a
    gradient is largest. It ends where the mean of the losses is stationary, as plain
    training does.

    The direction is `g0 + c |g0| d / |d|` with `d = sum_t p_t g_t`, where `p` minimises
    `d'g0 + c |g0| |d|` over `p >= 0` that sum to 1. The weights are those of `T` times
    the direction, for `T` tasks that count, divided by `1 + c`: equal gradients then
    have weights with mean 1, so a learning rate that suits equal weights suits these.
    With strength 0 this is plain training.

    So that `d / |d|` is defined where `d` is 0, 1e-5 of each squared length is added to
    the diagonal of the Gramian. Up to that, the smallest inner product is within about
    1e-6 of the largest possible, in units of `|g0|` times the length of a gradient.

    Args:
        strength: `c`, at least 0 and below 1.

    Reference:
        Liu et al., "Conflict-Averse Gradient Descent for Multi-task Learning", 2021,
        https://arxiv.org/abs/2110.14048. The code of the authors and LibMTL divide by
        `1 + c^2`, TorchJD by nothing; none has the factor `T`.

    Example:
        >>> import kmtl
        >>> model = kmtl.build_mtl_model(
        ...     (8,),
        ...     [kmtl.BinaryTask("a"), kmtl.RegressionTask("b")],
        ...     balancing=kmtl.balancing.CAGrad(strength=0.4),
        ... )
    """

    strength: float = 0.5

    is_loop: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_number(self.strength) or not 0 <= self.strength < 1:
            raise ValueError(
                "`strength` must be at least 0 and below 1. "
                f"Received: {self.strength!r}."
            )

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        matrix, lengths = cosines(step.gramian)
        present = ops.cast(step.present, lengths.dtype)
        count = ops.maximum(ops.sum(present), 1)
        # Combinations are sums of unit vectors, x = w l; the mean gradient is one.
        mean = present * lengths / count
        size = _length(matrix, mean)
        slopes = ops.matmul(matrix, mean / size)
        share = unit(present / lengths)
        x = _worst_combination(matrix, slopes, share, self.strength)
        added = self.strength * size * x / _length(matrix, x)
        return (1.0 + count * added / lengths) / (1.0 + self.strength), state


def _worst_combination(
    matrix: Tensor, slopes: Tensor, share: Tensor, strength: float
) -> Tensor:
    """Finds the combination `d` that limits the worst task, up to a factor.

    Call the smallest inner product of a direction with a gradient its level. The
    directions of a level `t` or more are a convex set, and `d` leads from the mean to
    the nearest of them: a problem with no constraint but bounds. Its length is convex
    in `t`. Newton's method finds the `t` at which it is `strength`: each `d` proves a
    bound on the level that can be reached, which is the next `t`.
    """

    def bound(x: Tensor) -> Tensor:
        value = ops.sum(x * slopes) + strength * _length(matrix, x)
        return value / ops.maximum(ops.sum(x * share), TINY)

    def unsolved(level: Tensor, previous: Tensor, highest: Tensor, x: Tensor) -> Tensor:
        del highest, x
        return ops.abs(level - previous) > TOLERANCE * (1.0 + ops.abs(level))

    def improved(
        level: Tensor, previous: Tensor, highest: Tensor, x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        del previous
        linear = (slopes - level * share)[:, None]
        x = minimize_nonnegative(matrix, linear, TOLERANCE, x[:, None])[:, 0]
        highest = ops.minimum(highest, bound(x))
        return highest, level, highest, x

    # The bound that the shortest combination proves may be just out of reach, where `d`
    # has no end. Half-way down to the level of the mean is a better place to start.
    x = shortest(matrix, share)
    highest = bound(x)
    of_mean = ops.where(share > 0, slopes / ops.maximum(share, TINY), highest)
    level = (ops.min(of_mean) + highest) / 2.0
    x = strength * x / _length(matrix, x)
    values = (level, highest, highest, x)
    return ops.while_loop(unsolved, improved, values, _MAX_LEVELS)[3]


def _length(matrix: Tensor, x: Tensor) -> Tensor:
    """The length of a combination, never 0."""
    return ops.sqrt(ops.maximum(ops.sum(x * ops.matmul(matrix, x)), TINY))
