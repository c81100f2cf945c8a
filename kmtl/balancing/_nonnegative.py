"""Convex quadratic problems over nonnegative numbers, many of them at once."""

from dataclasses import dataclass
from typing import NamedTuple

from keras import ops

from kmtl._typing import Tensor
from kmtl.balancing._limits import TINY

_MAX_PRODUCTS = 2000
_BOLD_PRODUCTS = 20
# In exact arithmetic no matrix of this package bends less; rounding can make it do so.
_LEAST_CURVATURE = 1e-6


def minimize_nonnegative(
    matrix: Tensor, linear: Tensor, tolerance: Tensor, start: Tensor | None = None
) -> Tensor:
    """Minimises `x'Ax / 2 + b'x` over `x >= 0` for each column `b` of `linear`.

    Ends when `max |min(x, Ax + b)|`, which is 0 at the optimum alone, is at most the
    tolerance in every column, or after 2,000 products with the matrix. (The most that
    was seen is 761, for 128 tasks with gradients in 64 dimensions.)

    The method is one of conjugate gradients on the variables above 0. An iteration is
    one product of the matrix with all columns. There is no factorisation, since XLA has
    no fast one on a CPU. Accelerated gradients without conjugate directions need up to
    90 times as many products where tasks conflict strongly.

    Args:
        matrix: `A`, `(n, n)`, float64, positive definite with a diagonal of about 1.
        linear: The columns `b`, `(n, problems)`.
        tolerance: A number.
        start: Where to start, of the shape of `linear`; from 0 unless given.

    Returns:
        The solutions, `(n, problems)`.

    Reference:
        Dostal and Schoberl, "Minimizing Quadratic Functions Subject to Bound
        Constraints with the Rate of Convergence and Finite Termination", 2005 (MPRGP).
        In the first 20 iterations a step that meets a bound is projected as a whole:
        Kruzik et al., "Active Set Expansion Strategies in MPRGP Algorithm", 2020. That
        is faster where few tasks conflict, but proven to converge only without.
    """
    # The largest sum of a row bounds the eigenvalues. Steps below 2 over it descend.
    step = 1.9 / ops.max(ops.sum(ops.abs(matrix), axis=1))
    problem = _Problem(matrix, linear, step)
    x = ops.zeros_like(linear) if start is None else start

    def unsolved(number: Tensor, *values: Tensor) -> Tensor:
        del number
        at = _Iterate(*values)
        violation = ops.max(ops.abs(ops.minimum(at.x, at.slope)), axis=0)
        return ops.any(ops.logical_or(at.moved, violation > tolerance))

    def advanced(number: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        return number + 1, *problem.advanced(_Iterate(*values), number < _BOLD_PRODUCTS)

    first = _restarted(x, ops.matmul(matrix, x) + linear)
    return ops.while_loop(unsolved, advanced, (0, *first), _MAX_PRODUCTS)[1]


class _Iterate(NamedTuple):
    """Where the search is in each column.

    Attributes:
        x: `(n, problems)`.
        slope: `Ax + b`, but in the columns that have moved.
        direction: The conjugate direction.
        moved: The columns whose slope must be computed anew, `(problems,)`.
    """

    x: Tensor
    slope: Tensor
    direction: Tensor
    moved: Tensor


@dataclass(frozen=True)
class _Problem:
    """A matrix, columns, and the length of a step along the slope that descends."""

    matrix: Tensor
    linear: Tensor
    step: Tensor

    def advanced(self, at: _Iterate, bold: Tensor) -> _Iterate:
        """Makes one product with the matrix, and what can be done with it."""
        inside, along = self._search(at)
        product = ops.matmul(self.matrix, ops.where(at.moved, at.x, along))
        least = _LEAST_CURVATURE * ops.sum(along * along, axis=0) + TINY
        curvature = ops.maximum(ops.sum(along * product, axis=0), least)
        length = ops.sum(at.slope * along, axis=0) / curvature
        room = _room(at.x, along)
        blocked = ops.logical_and(inside, length > room)

        # A safe step ends at the first bound, and one along the slope there follows.
        safe = ops.logical_and(blocked, ops.logical_not(bold))
        taken = ops.where(safe, room, length)
        x = ops.relu(at.x - taken * along)
        slope = at.slope - taken * product
        free = _free(x, slope)
        x = ops.where(safe, ops.relu(x - self.step * free), x)
        bend = ops.where(inside, ops.sum(product * free, axis=0) / curvature, 0.0)
        ahead = _Iterate(x, slope, free - bend * along, blocked)

        renewed = _restarted(at.x, product + self.linear)
        pairs = zip(renewed, ahead, strict=True)
        return _Iterate(*(ops.where(at.moved, new, on) for new, on in pairs))

    def _search(self, at: _Iterate) -> tuple[Tensor, Tensor]:
        """Returns which columns stay on their variables above 0, and directions."""
        free = _free(at.x, at.slope)
        leaving = ops.where(at.x > 0, 0.0, ops.minimum(at.slope, 0.0))
        gain = ops.sum(free * ops.minimum(free, at.x / self.step), axis=0)
        inside = gain >= ops.sum(leaving * leaving, axis=0)
        return inside, ops.where(inside, at.direction, leaving)


def _restarted(x: Tensor, slope: Tensor) -> _Iterate:
    moved = ops.zeros(x.shape[1:], dtype="bool")
    return _Iterate(x, slope, _free(x, slope), moved)


def _free(x: Tensor, slope: Tensor) -> Tensor:
    """The slope along the variables above 0."""
    return ops.where(x > 0, slope, 0.0)


def _room(x: Tensor, along: Tensor) -> Tensor:
    """How far each column can go against a direction before a variable is 0."""
    rooms = ops.where(along > 0, x / ops.maximum(along, TINY), float("inf"))
    return ops.min(rooms, axis=0)
