"""Convex quadratic problems over nonnegative numbers, many of them at once."""

from keras import ops

from kmtl._typing import Tensor

_MAX_PRODUCTS = 2000
_BOLD_PRODUCTS = 20
# No matrix that is passed bends less in exact arithmetic; rounding may make it do so.
_LEAST_CURVATURE = 1e-6
_TINY = 1e-300


def minimize_nonnegative(
    matrix: Tensor, linear: Tensor, tolerance: Tensor, start: Tensor | None = None
) -> Tensor:
    """Minimises `x'Ax / 2 + b'x` over `x >= 0` for each column `b` of `linear`.

    Ends when `max |min(x, Ax + b)|`, which is 0 at the optimum alone, is at most the
    tolerance in every column. A method of conjugate gradients on the variables above 0, which
    takes one product of the matrix with all columns an iteration and no factorisation,
    for XLA has no fast one on a CPU. Methods without conjugate directions need ten to a
    hundred times as many products where tasks conflict strongly.

    Args:
        matrix: `A`, `(n, n)`, float64, positive definite with a diagonal near 1. Its
            smallest eigenvalue should be 1e-6 or more.
        linear: The columns `b`, `(n, problems)`.
        tolerance: A scalar.
        start: Where to start, of the shape of `linear`; from 0 unless given.

    Returns:
        The solutions, `(n, problems)`.

    Reference:
        Dostal and Schoberl, "Minimizing Quadratic Functions Subject to Bound
        Constraints with the Rate of Convergence and Finite Termination", 2005 (MPRGP).
        The first 20 expansions of the active set project the whole conjugate step
        instead: Kruzik et al., "Active Set Expansion Strategies in MPRGP Algorithm",
        2020. It is faster, and without proof.
    """
    x = ops.zeros_like(linear) if start is None else start
    slope = ops.matmul(matrix, x) + linear
    # The largest sum of a row bounds the largest eigenvalue; 2 over that is the limit.
    step = 1.9 / ops.max(ops.sum(ops.abs(matrix), axis=1))

    def unsolved(
        number: Tensor, x: Tensor, slope: Tensor, direction: Tensor, moved: Tensor
    ) -> Tensor:
        del number, direction
        violation = ops.max(ops.abs(ops.minimum(x, slope)), axis=0)
        return ops.any(ops.logical_or(moved, violation > tolerance))

    def improved(
        number: Tensor, x: Tensor, slope: Tensor, direction: Tensor, moved: Tensor
    ) -> tuple[Tensor, ...]:
        bold = number < _BOLD_PRODUCTS
        values = _improved(matrix, linear, step, bold, x, slope, direction, moved)
        return number + 1, *values

    moved = ops.zeros(linear.shape[1:], dtype="bool")
    start_values = (0, x, slope, _free(x, slope), moved)
    result = ops.while_loop(unsolved, improved, start_values, _MAX_PRODUCTS)
    return result[1]


def _improved(
    matrix: Tensor,
    linear: Tensor,
    step: Tensor,
    bold: Tensor,
    x: Tensor,
    slope: Tensor,
    direction: Tensor,
    moved: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Makes one product with the matrix, and what can be done with it.

    Args:
        matrix: As passed by the user.
        linear: As passed by the user.
        step: The length of a step along the slope that lowers the objective.
        bold: Whether expansions are bold.
        x: The iterate.
        slope: `Ax + b`, but for the columns that have moved.
        direction: The conjugate direction.
        moved: The columns whose slope must be computed anew, `(problems,)`.

    Returns:
        The new `x`, `slope`, `direction` and `moved`.
    """
    free = _free(x, slope)
    chopped = ops.where(x > 0, 0.0, ops.minimum(slope, 0.0))
    # Whether there is more to gain on the variables above 0 than from leaving 0.
    gain = ops.sum(free * ops.minimum(free, x / step), axis=0)
    inside = gain >= ops.sum(chopped * chopped, axis=0)
    along = ops.where(inside, direction, chopped)
    product = ops.matmul(matrix, ops.where(moved, x, along))
    least = _LEAST_CURVATURE * ops.sum(along * along, axis=0) + _TINY
    curvature = ops.maximum(ops.sum(along * product, axis=0), least)
    length = ops.sum(slope * along, axis=0) / curvature
    room = ops.where(along > 0, x / ops.maximum(along, _TINY), float("inf"))
    room = ops.min(room, axis=0)
    blocked = ops.logical_and(inside, length > room)

    # Where a step is blocked the slope is only known up to the first bound.
    safe = ops.logical_and(blocked, ops.logical_not(bold))
    taken = ops.where(safe, room, length)
    new_x = ops.relu(x - taken * along)
    new_slope = slope - taken * product
    new_free = _free(new_x, new_slope)
    new_x = ops.where(safe, ops.relu(new_x - step * new_free), new_x)
    shrink = ops.where(inside, ops.sum(product * new_free, axis=0) / curvature, 0.0)
    new_direction = new_free - shrink * along

    renewed = product + linear
    return (
        ops.where(moved, x, new_x),
        ops.where(moved, renewed, new_slope),
        ops.where(moved, _free(x, renewed), new_direction),
        ops.logical_and(blocked, ops.logical_not(moved)),
    )


def _free(x: Tensor, slope: Tensor) -> Tensor:
    """The slope along the variables above 0."""
    return ops.where(x > 0, slope, 0.0)
