"""The order in which every task meets the others."""

from keras import ops

from kmtl._typing import Tensor
from kmtl.balancing._base import Step
from kmtl.balancing._draws import draw_by_pair


def visits(step: Step, seed: int) -> Tensor:
    """Draws, for every task, an order of all tasks, itself included.

    The order of two tasks does not depend on which other tasks there are.

    Returns:
        Pairs of places in the model, `(place in the order, tasks, 2)`: every task and
        the one that it meets there.
    """
    met = ops.transpose(ops.argsort(draw_by_pair(step, seed), axis=1))
    return ops.stack(
        [ops.broadcast_to(ops.arange(met.shape[1]), met.shape), met], axis=-1
    )
