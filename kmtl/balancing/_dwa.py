"""Weights by how fast the losses fall."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kmtl._checks import check_positive
from kmtl._typing import Tensor
from kmtl.balancing._base import LossBalancing, State, Step
from kmtl.balancing._logs import (
    bounded_exp,
    has_log,
    log_where,
    ones_beside,
    softmax_where,
)
from kmtl.balancing._running_mean import add_to_mean
from kmtl.tasks import Task


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class DWA(LossBalancing):
    """Dynamic weight average: more weight for tasks whose losses fall more slowly.

    The weights are `n softmax(r / temperature)`, where `r` is a task's mean loss over
    the last epoch by that over the epoch before, and `n` the number of tasks weighed.
    They sum to `n`. Units of measure do not matter, so they are not balanced either:
    give loss weights to tasks of unlike scale.

    A task has weight 1 until it has been in two epochs, or while one of the two means
    is not positive. Epochs in which it had no label are not among them.

    Args:
        temperature: The higher, the more even are the weights.

    Raises:
        ValueError: If `temperature` is not positive.

    Reference:
        Liu et al., "End-to-End Multi-Task Learning with Attention", CVPR 2019,
        https://arxiv.org/abs/1803.10704, equation 7.

    Example:
        >>> import kmtl
        >>> kmtl.balancing.DWA()
        DWA(temperature=2.0)
    """

    temperature: float = 2.0

    def __post_init__(self) -> None:
        check_positive(self.temperature, "temperature")

    def initial_state(self, tasks: Sequence[Task]) -> Mapping[str, Any]:
        """Returns means of no epoch; `"epoch"` says which one `"mean"` is about."""
        names = ("mean", "batches", "last", "before_last")
        means = {name: np.zeros(len(tasks)) for name in names}
        return {"epoch": np.full(len(tasks), -1, "int32"), **means}

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        state = _with_new_epoch(step, state)
        mask = has_log(state["last"], has_log(state["before_last"], step.present))
        last, before = (log_where(mask, state[k]) for k in ("last", "before_last"))
        shares = softmax_where(mask, bounded_exp(last - before) / self.temperature)
        weights = ones_beside(mask, ops.sum(mask) * shares)
        counts = ops.logical_and(step.present > 0, ops.isfinite(step.losses))
        return weights, add_to_mean(state, "mean", step.losses, counts)


def _with_new_epoch(step: Step, state: State) -> State:
    """Closes the mean of an earlier epoch, for each task in its first step since."""
    starts = ops.logical_and(step.present > 0, state["epoch"] != step.epoch)
    closes = ops.logical_and(starts, state["batches"] > 0)
    return {
        "epoch": ops.where(starts, step.epoch, state["epoch"]),
        "mean": ops.where(starts, ops.zeros_like(state["mean"]), state["mean"]),
        "batches": ops.where(starts, ops.zeros_like(state["mean"]), state["batches"]),
        "last": ops.where(closes, state["mean"], state["last"]),
        "before_last": ops.where(closes, state["last"], state["before_last"]),
    }
