"""Gradients without what conflicts with other tasks."""

from dataclasses import dataclass
from typing import ClassVar

import keras
from keras import ops

from kmtl._checks import check_count
from kmtl._typing import Tensor
from kmtl.balancing._base import GradientBalancing, State, Step
from kmtl.balancing._directions import as_weights, directions
from kmtl.balancing._visits import visits


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class PCGrad(GradientBalancing):
    """Projecting conflicting gradients: gradient surgery.

    The gradient of every task meets those of the others in random order. Where it
    points against one, it is projected on the plane normal to that one. The update is
    the sum of what is left. Tasks that do not conflict have weight 1, and no weight is
    below 1: what is added to a gradient to project it is some of the other one.

    Args:
        seed: Of the random orders. They depend on the names of the tasks, not on their
            order in the model.
        **settings: See `GradientBalancing`.

    Reference:
        Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020,
        https://arxiv.org/abs/2001.06782, algorithm 1.

    Example:
        >>> import kmtl
        >>> kmtl.balancing.PCGrad(1).seed
        1
    """

    seed: int = 0

    is_loop: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.seed, "seed")

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        gradients = directions(step)
        coefficients = _project(gradients.cosines, visits(step, self.seed))
        weights = ops.matmul(gradients.lengths, coefficients) / gradients.lengths
        return as_weights(gradients, weights, step), state


def _project(cosines: Tensor, pairs: Tensor) -> Tensor:
    """Projects unit gradients in the orders of `visits`.

    Args:
        cosines: Between them, `(tasks, tasks)`.
        pairs: Who meets whom, `(place, tasks, 2)`.

    Returns:
        Every projected gradient as a combination of the given ones, `(tasks, tasks)`.
    """
    count = cosines.shape[0]

    def meet(place: Tensor, combinations: Tensor) -> tuple[Tensor, Tensor]:
        now = pairs[place]
        given = ops.take(cosines, now[:, 1], axis=0)
        products = ops.sum(given * combinations, axis=1)
        # The maximum with what stands there: 0, or 1 where a task meets itself.
        return place + 1, ops.scatter_update(
            combinations, now, -products, reduction="max"
        )

    start = (0, ops.eye(count, dtype=cosines.dtype))
    return ops.while_loop(lambda place, _: place < count, meet, start)[1]
