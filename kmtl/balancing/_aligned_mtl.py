"""Weights that give the gradients of tasks equal principal components."""

from dataclasses import dataclass
from typing import Literal

import keras
from keras import ops

from kmtl._checks import check_choice
from kmtl._typing import Tensor
from kmtl.balancing._base import GradientBalancing, State, Step
from kmtl.balancing._directions import (
    ROUNDING,
    Directions,
    as_weights,
    directions,
)

# Eigenvalues are exact to this, relative to the largest one: float64, with some room.
_EIGENVALUE_ROUNDING = 1e-14


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class AlignedMTL(GradientBalancing):
    """Aligned-MTL: independent component alignment.

    The gradients are changed as little as possible such that their principal
    components are of equal length: with the Gramian `G = V diag(e) V'`, the weights are
    `sqrt(scale) V diag(1 / sqrt(e)) V' 1`. Components of no more than rounding are left
    out. Orthogonal gradients of equal length have weight 1.

    Args:
        scale: The square of the length of all components: the smallest of the
            eigenvalues `e` (`"min"`), the median, the lower of two (`"median"`), or the
            mean (`"rmse"`). `"min"` is small where gradients conflict or their lengths
            differ.
        **settings: See `GradientBalancing`.

    Reference:
        Senushkin et al., "Independent Component Alignment for Multi-Task Learning",
        CVPR 2023, https://arxiv.org/abs/2305.19000, algorithm 1. The sum of the aligned
        gradients, as in the authors' code, not their mean.

    Example:
        >>> import kmtl
        >>> kmtl.balancing.AlignedMTL("median").scale
        'median'
    """

    scale: Literal["min", "median", "rmse"] = "min"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self.scale, ("min", "median", "rmse"), "scale")

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        gradients = directions(step)
        values, vectors, is_rank = _components(gradients)
        parts = ops.matmul(gradients.live, vectors)
        ratios = self._scale_of(values, is_rank) / ops.where(is_rank, values, 1.0)
        parts = ops.where(is_rank, ops.sqrt(ratios) * parts, 0.0)
        return as_weights(gradients, ops.matmul(vectors, parts), step), state

    def _scale_of(self, values: Tensor, is_rank: Tensor) -> Tensor:
        """The square of the common length, from the eigenvalues that count."""
        rank = ops.sum(ops.cast(is_rank, "int32"))
        if self.scale == "rmse":
            total = ops.sum(ops.where(is_rank, values, 0.0))
            return total / ops.cast(ops.maximum(rank, 1), values.dtype)
        ordered = ops.sort(ops.where(is_rank, values, float("inf")))
        place = 0 if self.scale == "min" else ops.maximum(rank - 1, 0) // 2
        return ops.where(rank > 0, ops.take(ordered, place), 0.0)


def _components(gradients: Directions) -> tuple[Tensor, Tensor, Tensor]:
    """Returns eigenvalues and vectors of the Gramian, and which are not rounding."""
    lengths = gradients.live * gradients.lengths
    lengths = lengths / ops.max(gradients.lengths)
    values, vectors = ops.eigh(gradients.cosines * lengths * lengths[:, None])
    # An error e of all cosines changes an eigenvalue by at most this: much less for
    # components of short gradients than for those of long ones.
    error = ROUNDING * ops.matmul(lengths, ops.abs(vectors)) ** 2
    is_rank = values > ops.maximum(error, _EIGENVALUE_ROUNDING * ops.max(values))
    return values, vectors, is_rank & (values > 0)
