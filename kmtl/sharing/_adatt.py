"""Adaptive task-to-task fusion."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from kmtl._checks import check_count, check_positive_integer
from kmtl._typing import Tensor
from kmtl.layers import (
    AddOwnExperts,
    MixExperts,
    SharedTensor,
    SplitShared,
    StreamsToExperts,
    TaskGate,
)
from kmtl.sharing._experts import own_experts, pooled_stages, shared_experts
from kmtl.sharing._gate_inputs import gate_inputs
from kmtl.tasks import Task
from kmtl.trunks import Inputs, Trunk


@dataclass(frozen=True)
class AdaTT:
    """Every task mixes the experts of all tasks, and always keeps its own.

    Each stage of the trunk is a level, and the experts of a level are copies of that
    stage, which start different. A task gets a softmax mixture of the experts of all
    tasks plus a linear mixture of its own ones, whose weights are learned but constant
    (1 where nobody has more than one expert). Experts and gates work on what the level
    below gave to their task, on the first level on the inputs, which gates see as in
    `MMoE`; on maps gates see the mean over the pixels. The number of gate weights grows
    with the square of the number of tasks.

    Args:
        task_experts: Number of experts of each task on each level.
        shared_experts: Number of experts of no task on each level. They have a stream
            of their own, mixed like that of a task, on every level but the last.

    Reference:
        Li et al., "AdaTT: Adaptive Task-to-Task Fusion Network for Multitask Learning
        in Recommendations", KDD 2023, https://arxiv.org/abs/2304.04959. Differs from
        the authors' code in that gates have no bias.

    Example:
        >>> import keras, kmtl
        >>> trunk, inputs = kmtl.trunks.MLP([32, 16]), keras.Input((8,))
        >>> tasks = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b")]
        >>> kmtl.sharing.AdaTT(shared_experts=1)(trunk, inputs, tasks).shape
        (None, 2, 16)
    """

    _: KW_ONLY
    task_experts: int = 1
    shared_experts: int = 0

    def __post_init__(self) -> None:
        check_positive_integer(self.task_experts, "task_experts")
        check_count(self.shared_experts, "shared_experts")

    def __call__(self, trunk: Trunk, inputs: Inputs, tasks: Sequence[Task]) -> Tensor:
        """Builds the levels.

        Args:
            trunk: Its stages are the forms of the experts.
            inputs: A symbolic tensor or a dict of them.
            tasks: The tasks.

        Returns:
            Symbolic tensor `(batch, tasks, features)`. Shared are the outputs of all
            experts of the last level.

        Raises:
            ValueError: If the gates find nothing in the inputs to look at.
        """
        own, shared = self.task_experts, self.shared_experts
        names = [task.name for task in tasks]
        streams_of = [*names, "/0"] if shared else names
        experts = [*own_experts(tasks, own), *shared_experts(shared)]
        x, seen = inputs, gate_inputs(inputs)
        *inner, last = pooled_stages(trunk, experts)
        for level, stage in enumerate(inner):
            seen = self._fused(level, stage(x), seen, streams_of, experts)
            spread = StreamsToExperts(own, shared=shared, name=f"to_experts_{level}")
            x = spread(seen)
        if inner and shared:  # the last level has no shared stream
            seen, _ = SplitShared(1, name="task_streams")(seen)
        outputs = SharedTensor(name="shared")(last(x))
        return self._fused(len(inner), outputs, seen, names, experts)

    def _fused(
        self,
        level: int,
        outputs: Tensor,
        seen: Tensor,
        receivers: Sequence[str],
        experts: Sequence[str],
    ) -> Tensor:
        gate = TaskGate(experts, tasks=receivers, name=f"gate_{level}")
        residual = AddOwnExperts(
            receivers,
            tasks=experts,
            learned=max(self.task_experts, self.shared_experts) > 1,
            name=f"residual_{level}",
        )
        mix = MixExperts(name=f"mixture_{level}")
        return mix([outputs, residual(gate(seen))])
