"""The direction that has the same angle with the gradients of all tasks."""

from keras import ops

from kmtl._typing import Tensor
from kmtl.balancing._directions import Directions


def equal_angles(directions: Directions) -> tuple[Tensor, Tensor]:
    """Finds the combination of unit gradients with the same product with each of them.

    Args:
        directions: The gradients.

    Returns:
        The coefficients, `(tasks,)`, and the square of the length of the combination.
        The product with every unit gradient is 1 where that is possible, else as close
        to 1 as can be (least squares). Both are 0 if nothing is closer to 1 than 0 is.
    """
    values, vectors = ops.eigh(directions.cosines)
    is_rank = values > directions.rounding
    inverses = ops.where(is_rank, 1 / ops.where(is_rank, values, 1.0), 0.0)
    parts = inverses * ops.matmul(directions.live, vectors)
    coefficients = ops.matmul(vectors, parts)
    square = ops.sum(coefficients * directions.live)
    exists = square > directions.rounding
    coefficients = ops.where(exists, coefficients, ops.zeros_like(coefficients))
    return coefficients, ops.where(exists, square, ops.zeros_like(square))
