"""Tasks supervised at inner layers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kmtl._checks import check_known_keys, check_mapping
from kmtl._typing import Tensor
from kmtl.layers import SharedTensor
from kmtl.sharing._stages import check_stage, pool_map, stage_index
from kmtl.tasks import Task
from kmtl.trunks import Inputs, Single, Trunk


@dataclass(frozen=True)
class LowLevel:
    """One trunk for all tasks; the heads of some are attached to inner stages.

    A task at an inner stage trains this stage and those before it only: low-level
    tasks, such as parts of speech, help the others without bending the last stages
    towards them. Inner maps are averaged over their positions, unless the task has a
    head of its own, which gets the map.

    Args:
        stages: For some tasks by name the number of the stage to which the head is
            attached, from 0, or from the end if negative. All others are attached to
            the end of the trunk.

    Reference:
        Søgaard and Goldberg, "Deep Multi-task Learning with Low Level Tasks Supervised
        at Lower Layers", ACL 2016, https://aclanthology.org/P16-2038.

    Example:
        >>> import keras, kmtl
        >>> trunk, inputs = kmtl.trunks.MLP([32, 16]), keras.Input((8,))
        >>> tasks = [kmtl.BinaryTask("noun"), kmtl.BinaryTask("sarcasm")]
        >>> shared = kmtl.sharing.LowLevel({"noun": 0})(trunk, inputs, tasks)
        >>> {name: tensor.shape for name, tensor in shared.items()}
        {'noun': (None, 32), 'sarcasm': (None, 16)}
    """

    stages: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_mapping(self.stages, "stages", "stage numbers by task name")
        for name, stage in self.stages.items():
            check_stage(stage, f"stages[{name!r}]")
        object.__setattr__(self, "stages", dict(self.stages))

    def __call__(
        self, trunk: Trunk, inputs: Inputs, tasks: Sequence[Task]
    ) -> dict[str, Tensor]:
        """Applies the trunk once.

        Args:
            trunk: What the tasks share.
            inputs: A symbolic tensor or a dict of them.
            tasks: The tasks.

        Returns:
            For each task by name the symbolic tensor its head is attached to.

        Raises:
            ValueError: If `stages` names an unknown task, or a stage that the trunk
                lacks.
        """
        check_known_keys(self.stages, [task.name for task in tasks], "stages")
        kit = Single()
        stages = trunk.stages(kit)
        last = len(stages) - 1
        positions = {
            task.name: stage_index(
                self.stages.get(task.name, last), len(stages), f"stages[{task.name!r}]"
            )
            for task in tasks
        }
        # All tasks need the stages up to the lowest head: nothing later is common.
        lowest = min(positions.values())
        x, outputs = inputs, []
        for level, stage in enumerate(stages):
            x = stage(x)
            if level == last:
                x = trunk.finish(kit, x)
            if level == lowest:
                x = SharedTensor(name="shared")(x)
            outputs.append(x)
        return _attached(tasks, positions, outputs)


def _attached(
    tasks: Sequence[Task], positions: Mapping[str, int], outputs: Sequence[Tensor]
) -> dict[str, Tensor]:
    """The tensor of each task; tasks at one place get the same object."""
    last = len(outputs) - 1
    pooled: dict[int, Tensor] = {}
    attached = {}
    for task in tasks:
        level = positions[task.name]
        if task.head is None and level < last:
            if level not in pooled:
                pooled[level] = pool_map(outputs[level], rank=2)
            attached[task.name] = pooled[level]
        else:
            attached[task.name] = outputs[level]
    return attached
