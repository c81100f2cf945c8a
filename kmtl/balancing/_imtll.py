"""Learned scales that make all weighted losses equal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kmtl._checks import check_positive
from kmtl._typing import Tensor
from kmtl.balancing._adam import learn, learned
from kmtl.balancing._base import LossBalancing, State, Step
from kmtl.balancing._logs import bounded_exp, has_log, log_where
from kmtl.tasks import Task


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class IMTLL(LossBalancing):
    """IMTL-L: learns scales by which all losses become 1.

    Minimises `exp(s) L - s` over the weights of the model and over one number `s` a
    task. The weight is `exp(s)`: it starts at 1 and goes towards `1 / L`. That is
    uncertainty weighting without the factors by kind of task. `IMTLG` balances the
    gradients.

    A loss that is not positive teaches nothing: `s` stays in that step.

    Args:
        learning_rate: Of the Adam that learns `s`; see `UncertaintyWeighting`. In the
            paper `s` is trained with the weights of the model.

    Raises:
        ValueError: If `learning_rate` is not positive.

    Reference:
        Liu et al., "Towards Impartial Multi-Task Learning", ICLR 2021,
        https://openreview.net/forum?id=IMPnRXEWpvr, with base e. `s` starts at 0.

    Example:
        >>> import kmtl
        >>> kmtl.balancing.IMTLL()
        IMTLL(learning_rate=0.025)
    """

    learning_rate: float = 0.025

    def __post_init__(self) -> None:
        check_positive(self.learning_rate, "learning_rate")

    def initial_state(self, tasks: Sequence[Task]) -> Mapping[str, Any]:
        """Returns `s = 0`."""
        return learned(len(tasks))

    def __call__(self, step: Step, state: State) -> tuple[Tensor, State]:
        mask = has_log(step.losses, step.present)
        logs = log_where(mask, step.losses)
        gradient = bounded_exp(logs + state["learned"]) - 1
        weights = bounded_exp(state["learned"])
        return weights, learn(state, gradient, mask, self.learning_rate)
