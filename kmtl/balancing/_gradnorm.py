"""Weights by which all tasks train at similar rates."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kmtl._checks import check_positive, check_weight
from kmtl._typing import Tensor
from kmtl.balancing._adam import learn, learned
from kmtl.balancing._base import GradientBalancing, State, Step
from kmtl.balancing._directions import Directions, as_weights, directions
from kmtl.balancing._logs import bounded_exp, has_log, log_where, softmax_where
from kmtl.tasks import Task


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class GradNorm(GradientBalancing):
    """GradNorm: lengths of gradients by how fast tasks learn.

    A task whose loss, relative to its first one, is above the mean of the tasks shall
    have a gradient longer than the mean: by that ratio to the power of `alpha`. Adam
    moves one learned number a task towards that, whose softmax, times the number of
    tasks, are the weights. The first step has weights of 1. It needs the lengths of
    gradients only, not their angles.

    Losses are taken as positive: a task whose first loss or loss is not counts as one
    that learns at the mean rate.

    Args:
        alpha: How strongly rates of training are pulled together; 0 gives all gradients
            the same length.
        learning_rate: Of the Adam that learns the numbers.
        **settings: See `GradientBalancing`.

    Raises:
        ValueError: If `alpha` is negative or `learning_rate` is not positive.

    Reference:
        Chen et al., "GradNorm: Gradient Normalization for Adaptive Loss Balancing in
        Deep Multitask Networks", ICML 2018, https://arxiv.org/abs/1711.02257. Differs
        in that a softmax keeps the weights positive and their sum constant, as in
        LibMTL, not a division after each step, and in that the differences are relative
        to the mean length.

    Example:
        >>> import kmtl
        >>> kmtl.balancing.GradNorm(0.5).learning_rate
        0.025
    """

    alpha: float = 1.5
    _: KW_ONLY
    learning_rate: float = 0.025

    def __post_init__(self) -> None:
        super().__post_init__()
        check_weight(self.alpha, "alpha")
        check_positive(self.learning_rate, "learning_rate")

    def initial_state(self, tasks: Sequence[Task]) -> Mapping[str, Any]:
        """Returns equal numbers, and losses to be set by the first step."""
        return {**learned(len(tasks)), "first_losses": np.zeros(len(tasks))}

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        gradients = directions(step)
        is_first = (state["updates"] == 0) & (gradients.live > 0)
        first = ops.where(is_first, step.losses, state["first_losses"])
        weights = gradients.count * softmax_where(gradients.live, state["learned"])
        targets = self._targets(step.losses, first, gradients)
        gradient = _gradient(weights * gradients.lengths, weights, targets, gradients)
        state = learn(state, gradient, gradients.live, self.learning_rate)
        return as_weights(gradients, weights, step), {**state, "first_losses": first}

    def _targets(self, losses: Tensor, first: Tensor, gradients: Directions) -> Tensor:
        """Lengths of gradients relative to their mean, `(tasks,)`."""
        mask = has_log(first, has_log(losses, gradients.live))
        ratios = bounded_exp(log_where(mask, losses) - log_where(mask, first))
        mean = ops.sum(mask * ratios) / ops.maximum(ops.sum(mask), 1)
        rates = log_where(mask, ratios) - log_where(mask, mean * mask)
        return bounded_exp(self.alpha * rates)


def _gradient(
    lengths: Tensor, weights: Tensor, targets: Tensor, gradients: Directions
) -> Tensor:
    """The derivative of `sum |lengths / mean - targets|` by the learned numbers.

    The mean is taken as constant, and the lengths are those of weighted gradients.
    """
    live, count = gradients.live, ops.maximum(gradients.count, 1)
    mean = ops.sum(live * lengths) / count
    lengths = live * lengths / ops.where(mean > 0, mean, 1.0)
    pull = ops.sign(lengths - targets) * lengths
    return live * (pull - weights / count * ops.sum(pull))
