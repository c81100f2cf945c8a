"""Weights of tasks that are fair in the sense of Nash or of alpha-fairness."""

import math

from keras import ops

from kmtl._typing import Tensor
from kmtl.balancing._directions import Directions

# The largest relative error of an equation, and how many steps may reach it.
_TOLERANCE, _STEPS = 1e-7, 50
# Step lengths that are tried at once: this share of the way to where a weight is 0, or
# at most so many times the step of Newton, and powers of 1 / sqrt(2) of it.
_TO_ZERO, _LONGEST, _LENGTHS = 0.99, 64.0, 17
_LARGEST_LOG = 200.0  # whose powers float64 can hold


def fair_combination(directions: Directions, alpha: float) -> Tensor:
    """Solves `(G w)_t = w_t ** (-1 / alpha)` for weights above 0.

    It is the minimum of a convex function, found by Newton's method with a search of
    the step length. In terms of unit gradients, with `p = 1 / alpha`, cosines `C` and
    lengths `d` it is `C y = m y ** -p` for `y = w d` up to a factor and
    `m = d ** (p - 1)`.

    The cosines are made definite by `directions.rounding` on the diagonal: that bounds
    weights where a combination of the gradients is 0. The equations hold to a relative
    1e-7 after about 10 steps, up to 128 tasks, at conflict of any strength; also for
    lengths of gradients that differ by a factor of 1e6 if `alpha` is 1 or near it. What
    is found after 50 steps is used in any case.

    Args:
        directions: The gradients.
        alpha: From 0.2 to 10; 1 is Nash's solution.

    Returns:
        Weights times lengths of gradients, `(tasks,)`, positive; 1 where not live.
    """
    power = 1 / alpha
    live = directions.live
    logs = ops.log(directions.lengths)
    mean = ops.sum(live * logs) / ops.maximum(directions.count, 1)
    factors = (power - 1) * live * (logs - mean)
    factors = ops.exp(ops.clip(factors, -_LARGEST_LOG, _LARGEST_LOG))
    diagonal = ops.where(live > 0, directions.rounding, 1.0)
    matrix = directions.cosines + ops.diag(diagonal)
    scale = ops.exp((power - 1) / (power + 1) * mean)
    return _newton(matrix, factors, power, live) * ops.where(live > 0, scale, 1.0)


def _newton(matrix: Tensor, factors: Tensor, power: float, live: Tensor) -> Tensor:
    """Solves `matrix y = factors * y ** -power`."""

    def is_open(_: Tensor, y: Tensor) -> Tensor:
        ratios = ops.matmul(matrix, y) * y**power / factors
        return ops.max(ops.abs(ratios - 1)) > _TOLERANCE

    def improve(count: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return count + 1, _searched(matrix, factors, power, y)

    start = (0, _start(matrix, factors, power, live))
    return ops.while_loop(is_open, improve, start, maximum_iterations=_STEPS)[1]


def _start(matrix: Tensor, factors: Tensor, power: float, live: Tensor) -> Tensor:
    """The solution without cosines, times the factor that is best with them."""
    y = factors ** (1 / (1 + power))
    right = ops.sum(live * factors * y ** (1 - power))
    left = ops.sum(live * y * ops.matmul(matrix, live * y))
    factor = (right / ops.where(left > 0, left, 1.0)) ** (1 / (1 + power))
    return y * ops.where(live > 0, factor, 1.0)


def _searched(matrix: Tensor, factors: Tensor, power: float, y: Tensor) -> Tensor:
    """A step of Newton's method, of the best of several lengths."""
    product, right = ops.matmul(matrix, y), factors * y**-power
    step = _solve(matrix + ops.diag(power * right / y), right - product)
    longest = _TO_ZERO / ops.maximum(ops.max(-step / y), _TO_ZERO / _LONGEST)
    powers = ops.arange(_LENGTHS - 1, dtype=y.dtype) * (-math.log(2.0) / 2)
    lengths = ops.append(longest * ops.exp(powers), ops.minimum(longest, 1.0))
    tried = y + lengths[:, None] * step
    # The derivative by the length, which grows: 0 is at the minimum.
    slopes = lengths * ops.sum(step * ops.matmul(matrix, step))
    slopes = slopes + ops.sum(step * product)
    slopes = slopes - ops.matmul(tried**-power, factors * step)
    return ops.take(tried, ops.argmin(ops.abs(slopes)), axis=0)


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Solves a definite system, as exactly for small as for large numbers in it."""
    scales = 1 / ops.sqrt(ops.diagonal(matrix))
    return scales * ops.solve(matrix * scales * scales[:, None], scales * right)
