"""Customised gate control."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from kmtl._checks import check_count, check_positive_integer
from kmtl._typing import Tensor
from kmtl.layers._per_task import draw_seed
from kmtl.sharing._extraction import Extraction
from kmtl.tasks import Task
from kmtl.trunks import Inputs, Stack, Trunk


@dataclass(frozen=True)
class CGC:
    """Experts of each task's own beside shared ones, and a gate for each task.

    An expert is a copy of the whole trunk; experts start different. A task's gate is a
    softmax over its own experts and the shared ones, linear in the inputs (seen as in
    `MMoE`); a task takes nothing of another task's experts. It is `PLE` with one level.

    Args:
        shared_experts: Number of experts that all tasks share; with none, the tasks
            are independent.
        task_experts: Number of experts of each task.

    Reference:
        Tang et al., "Progressive Layered Extraction (PLE): A Novel Multi-Task Learning
        (MTL) Model for Personalized Recommendations", RecSys 2020, section 4.1,
        https://doi.org/10.1145/3383313.3412236.

    Example:
        >>> import keras, kmtl
        >>> trunk, inputs = kmtl.trunks.MLP([16]), keras.Input((8,))
        >>> tasks = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b")]
        >>> kmtl.sharing.CGC(shared_experts=2)(trunk, inputs, tasks).shape
        (None, 2, 16)
    """

    _: KW_ONLY
    shared_experts: int = 1
    task_experts: int = 1

    def __post_init__(self) -> None:
        check_count(self.shared_experts, "shared_experts")
        check_positive_integer(self.task_experts, "task_experts")

    def __call__(self, trunk: Trunk, inputs: Inputs, tasks: Sequence[Task]) -> Tensor:
        """Builds experts and gates.

        Args:
            trunk: The form of an expert.
            inputs: A symbolic tensor or a dict of them.
            tasks: The tasks.

        Returns:
            Symbolic tensor `(batch, tasks, features)`. Shared are the outputs of the
            shared experts.

        Raises:
            ValueError: If the gates find nothing in the inputs to look at.
        """
        extraction = Extraction(tasks, self.task_experts, self.shared_experts)
        kit = Stack(extraction.experts, seed=draw_seed())
        return extraction([lambda x: trunk.apply(kit, x)], inputs)
