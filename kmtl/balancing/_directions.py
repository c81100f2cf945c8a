"""Gradients of tasks by length and direction, from their inner products."""

from dataclasses import dataclass

from keras import ops

from kmtl._typing import Tensor
from kmtl.balancing._base import Step
from kmtl.balancing._limits import LARGEST

# Gramians are computed in float32: cosines of long gradients are exact to about this.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Directions:
    """The gradients of a step by length and direction.

    A gradient of zero has no direction: its task is treated like one that does not
    count. Cosines do not depend on the scale of any loss, so what is computed from
    them is as exact for gradients of very different lengths as for equal ones.

    Attributes:
        live: 1 for a task that counts and has a gradient, else 0, `(tasks,)`.
        lengths: The lengths of the gradients, 1 where there is none, `(tasks,)`.
        cosines: Those between the gradients, `(tasks, tasks)`; 1 on the diagonal, and 0
            in rows and columns of tasks that are not live.
        is_finite: Whether all inner products are.
    """

    live: Tensor
    lengths: Tensor
    cosines: Tensor
    is_finite: Tensor

    @property
    def count(self) -> Tensor:
        """The number of live tasks."""
        return ops.sum(self.live)

    @property
    def rounding(self) -> Tensor:
        """How large an eigenvalue of the cosines may be by rounding alone."""
        # A random symmetric matrix with entries of size e: about e times sqrt(tasks).
        return ROUNDING * ops.sqrt(self.count)


def directions(step: Step) -> Directions:
    """Returns the gradients of a step by length and direction."""
    is_finite = ops.all(ops.isfinite(step.gramian))
    # Solvers may raise on numbers that are not finite; `as_weights` brings them back.
    gramian = ops.where(is_finite, step.gramian, ops.zeros_like(step.gramian))
    squares = ops.diagonal(gramian)
    live = ops.cast((squares > 0) & (step.present > 0), gramian.dtype)
    lengths = ops.sqrt(ops.where(live > 0, squares, ops.ones_like(squares)))
    cosines = ops.clip(gramian / lengths / lengths[:, None], -1, 1)
    own = ops.diag(live)
    cosines = own + (1 - ops.eye(squares.shape[0], dtype=gramian.dtype)) * cosines
    return Directions(live, lengths, cosines * live * live[:, None], is_finite)


def as_weights(directions: Directions, weights: Tensor, step: Step) -> Tensor:
    """Finishes the weights of a step.

    Args:
        directions: Those of the step.
        weights: For gradients as they are, `(tasks,)`.
        step: The step.

    Returns:
        The weights, 1 for tasks that are not live, and 1 for all if fewer than two are:
        there is nothing to balance. NaN where inner products are not finite.
    """
    is_balanced = (directions.live > 0) & (directions.count > 1)
    weights = ops.clip(weights, -LARGEST, LARGEST)
    weights = ops.where(is_balanced, weights, ops.ones_like(weights))
    weights = ops.where(directions.is_finite, weights, float("nan"))
    return ops.cast(weights, step.losses.dtype)
