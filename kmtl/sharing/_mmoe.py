"""Multi-gate mixture of experts."""

from collections.abc import Sequence
from dataclasses import dataclass

from kmtl._checks import check_positive_integer
from kmtl._typing import Tensor
from kmtl.layers import MixExperts, TaskGate
from kmtl.sharing._experts import shared_experts, whole_trunks
from kmtl.sharing._gate_inputs import gate_inputs
from kmtl.tasks import Task
from kmtl.trunks import Inputs, Trunk


@dataclass(frozen=True)
class MMoE:
    """Experts that all tasks share, and a gate for each task that mixes them.

    An expert is a copy of the whole trunk; experts start different. Task `t` gets
    `sum_e softmax(x @ gate_t)_e * expert_e(x)`, where `x` are the inputs of the model:
    rows of numbers as they are, images averaged in at most 8 by 8 cells; integer inputs
    are ids and not seen by the gates. `model.sharing_weights(x)` shows the gates. One
    expert is hard sharing.

    Args:
        experts: The number of experts. The paper has 8 small ones; the trunk is the
            form of one, so that 8 experts are 8 times as many weights.

    Reference:
        Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate
        Mixture-of-Experts", KDD 2018, https://doi.org/10.1145/3219819.3220007.

    Example:
        >>> import keras, kmtl
        >>> trunk, inputs = kmtl.trunks.MLP([16]), keras.Input((8,))
        >>> tasks = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b")]
        >>> kmtl.sharing.MMoE(experts=4)(trunk, inputs, tasks).shape
        (None, 2, 16)
    """

    experts: int = 8

    def __post_init__(self) -> None:
        check_positive_integer(self.experts, "experts")

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
            ValueError: If the gates find nothing in the inputs to look at.
        """
        names = shared_experts(self.experts)
        experts = whole_trunks(trunk, inputs, names)
        gate = TaskGate(names, tasks=[task.name for task in tasks], name="gate")
        return MixExperts(name="mixture")([experts, gate(gate_inputs(inputs))])
