"""Mixture of experts whose gates select."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from kmtl._checks import (
    check_flag,
    check_positive,
    check_positive_integer,
    check_weight,
)
from kmtl._typing import Tensor
from kmtl.layers import MixExperts, SelectExperts
from kmtl.layers._select_experts import check_selection
from kmtl.sharing._experts import shared_experts, whole_trunks
from kmtl.sharing._gate_inputs import gate_inputs
from kmtl.tasks import Task
from kmtl.trunks import Inputs, Trunk


@dataclass(frozen=True)
class DSelectK:
    """Experts that all tasks share; each task ends up with at most `k` of them.

    An expert is a copy of the whole trunk; experts start different. The gates begin
    near equal weights and become sparse while they learn, see
    `kmtl.layers.SelectExperts`, whose penalties are part of `model.losses`.

    Args:
        experts: The number of experts, two at least.
        k: The largest number of experts of a task.
        gamma: Width of the smooth step; a larger one takes longer to select.
        entropy: Strength of the entropy penalty. A larger one selects sooner.
        per_example: Whether each row selects its own experts, by linear functions of
            the inputs (seen as in `MMoE`); by default a task does, for all rows.

    Reference:
        Hazimeh et al., "DSelect-k: Differentiable Selection in the Mixture of Experts
        with Applications to Multi-Task Learning", NeurIPS 2021,
        https://arxiv.org/abs/2106.03760.

    Example:
        >>> import keras, kmtl
        >>> trunk, inputs = kmtl.trunks.MLP([16]), keras.Input((8,))
        >>> tasks = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b")]
        >>> kmtl.sharing.DSelectK(experts=4, k=2)(trunk, inputs, tasks).shape
        (None, 2, 16)
    """

    experts: int = 8
    _: KW_ONLY
    k: int = 2
    gamma: float = 1.0
    entropy: float = 1e-6
    per_example: bool = False

    def __post_init__(self) -> None:
        check_positive_integer(self.experts, "experts")
        check_selection(self.experts, self.k)
        check_positive(self.gamma, "gamma")
        check_weight(self.entropy, "entropy")
        check_flag(self.per_example, "per_example")

    def __call__(self, trunk: Trunk, inputs: Inputs, tasks: Sequence[Task]) -> Tensor:
        """Builds experts and gates.

        Args:
            trunk: The form of an expert.
            inputs: A symbolic tensor or a dict of them.
            tasks: The tasks, one a gate.

        Returns:
            Symbolic tensor `(batch, tasks, features)`. Shared are the outputs of the
            experts.

        Raises:
            ValueError: If gates by example find nothing in the inputs to look at.
        """
        names = shared_experts(self.experts)
        experts = whole_trunks(trunk, inputs, names)
        gate = SelectExperts(
            names,
            tasks=[task.name for task in tasks],
            k=self.k,
            gamma=self.gamma,
            entropy=self.entropy,
            per_example=self.per_example,
            name="gate",
        )
        gates = gate(gate_inputs(inputs) if self.per_example else experts)
        return MixExperts(name="mixture")([experts, gates])
