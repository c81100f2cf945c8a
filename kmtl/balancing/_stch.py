"""A smooth maximum of the losses."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kmtl._checks import check_count, check_positive
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
class STCH(LossBalancing):
    """Smooth Tchebycheff scalarization: cares most for the task that lags behind most.

    Minimises `n mu log(sum(exp(log(L / nadir) / mu)))`, a smooth maximum over the `n`
    tasks whose `nadir` is known: the mean loss over a task's first epoch after a
    warm-up. Until then the logarithm of its loss is minimised. So the weight is
    `1 / L` at first and then `n softmax(log(L / nadir) / mu) / L`. The unit of measure
    of a loss does not matter.

    A task whose loss is not positive has weight 1 in that step.

    Args:
        mu: How smooth: 0 in the limit is the maximum itself, the task with the largest
            `L / nadir` alone. With 1 the sum of `L / nadir` has the same gradient
            up to a factor common to all tasks.
        warmup_epochs: Epochs before the one in which the nadir is taken.

    Raises:
        ValueError: If `mu` is not positive or `warmup_epochs` no integer of at least 0.

    Reference:
        Lin et al., "Smooth Tchebycheff Scalarization for Multi-Objective Optimization",
        ICML 2024, https://arxiv.org/abs/2402.19078. The warm-up, the logarithms and the
        defaults are those of the authors' code for multi-task learning,
        https://github.com/Xi-L/STCH, which adds 1e-20 to the losses.

    Example:
        >>> import kmtl
        >>> kmtl.balancing.STCH(mu=0.5)
        STCH(mu=0.5, warmup_epochs=4)
    """

    mu: float = 1.0
    _: KW_ONLY
    warmup_epochs: int = 4

    def __post_init__(self) -> None:
        check_positive(self.mu, "mu")
        check_count(self.warmup_epochs, "warmup_epochs")

    def initial_state(self, tasks: Sequence[Task]) -> Mapping[str, Any]:
        """Returns no nadir yet; `"epoch"` says over which one it is taken."""
        count = len(tasks)
        means = {"nadir": np.zeros(count), "batches": np.zeros(count)}
        return {"epoch": np.full(count, -1, "int32"), **means}

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        mask = has_log(step.losses, step.present)
        state = self._with_losses(step, state, mask)
        known = ops.logical_and(state["epoch"] >= 0, state["epoch"] < step.epoch)
        known = mask * ops.cast(known, mask.dtype)
        logs = log_where(mask, step.losses)
        excess = (logs - log_where(known, state["nadir"])) / self.mu
        shares = ops.sum(known) * softmax_where(known, excess)
        weights = ones_beside(known, shares) * bounded_exp(-logs)
        return ones_beside(mask, weights), state

    def _with_losses(self, step: Step, state: State, mask: Tensor) -> State:
        """Takes the losses into the nadir in a task's first epoch after the warm-up."""
        starts = ops.logical_and(state["epoch"] < 0, step.epoch >= self.warmup_epochs)
        starts = ops.logical_and(starts, mask > 0)
        epoch = ops.where(starts, step.epoch, state["epoch"])
        counts = ops.logical_and(epoch == step.epoch, mask > 0)
        return add_to_mean({**state, "epoch": epoch}, "nadir", step.losses, counts)
