"""Progressive layered extraction."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from kmtl._checks import check_count, check_positive_integer
from kmtl._typing import Tensor
from kmtl.sharing._experts import pooled_stages
from kmtl.sharing._extraction import Extraction
from kmtl.tasks import Task
from kmtl.trunks import Inputs, Trunk


@dataclass(frozen=True)
class PLE:
    """Levels of own and shared experts: tasks part step by step.

    Each stage of the trunk is a level, and the experts of a level are copies of that
    stage, which start different. A task's gate is a softmax over its own experts and
    the shared ones; the shared gate, on every level but the last, is one over all
    experts. Experts and gates of a level work on their own stream: what the level below
    gave to their task or, if shared, to the shared gate. On the first level that is the
    inputs, which gates see as in `MMoE`; on maps gates see the mean over the pixels.

    Args:
        shared_experts: Number of shared experts on each level; with none, the tasks
            are independent.
        task_experts: Number of experts of each task on each level.

    Reference:
        Tang et al., "Progressive Layered Extraction (PLE): A Novel Multi-Task Learning
        (MTL) Model for Personalized Recommendations", RecSys 2020, section 4.2,
        https://doi.org/10.1145/3383313.3412236.

    Example:
        >>> import keras, kmtl
        >>> trunk, inputs = kmtl.trunks.MLP([32, 16]), keras.Input((8,))
        >>> tasks = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b")]
        >>> kmtl.sharing.PLE(task_experts=2)(trunk, inputs, tasks).shape
        (None, 2, 16)
    """

    _: KW_ONLY
    shared_experts: int = 1
    task_experts: int = 1

    def __post_init__(self) -> None:
        check_count(self.shared_experts, "shared_experts")
        check_positive_integer(self.task_experts, "task_experts")

    def __call__(self, trunk: Trunk, inputs: Inputs, tasks: Sequence[Task]) -> Tensor:
        """Builds the levels.

        Args:
            trunk: Its stages are the forms of the experts. A trunk that is one stage,
                such as a Keras model, makes one level, which is `CGC`.
            inputs: A symbolic tensor or a dict of them.
            tasks: The tasks.

        Returns:
            Symbolic tensor `(batch, tasks, features)`. Shared are the outputs of the
            shared experts of the last level.

        Raises:
            ValueError: If the gates find nothing in the inputs to look at.
        """
        extraction = Extraction(tasks, self.task_experts, self.shared_experts)
        return extraction(pooled_stages(trunk, extraction.experts), inputs)
