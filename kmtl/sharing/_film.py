"""A shared trunk with a small modulation for each task."""

from collections.abc import Sequence
from dataclasses import dataclass

from kmtl._typing import Tensor
from kmtl.layers import FoldTasks, ModulateTasks, SharedTensor, SplitTasks, UnfoldTasks
from kmtl.sharing._stages import check_stage, stage_index
from kmtl.tasks import Task
from kmtl.trunks import Inputs, Single, Trunk


@dataclass(frozen=True)
class FiLM:
    """One trunk for all tasks; each task scales and shifts its features inside.

    After a modulated stage, task `t` goes on with `gamma[t] * x + beta[t]`, feature by
    feature. These are the only weights a task adds: two numbers a feature. The stages
    that follow have the same weights for all tasks, but run once for each: their time
    grows with the number of tasks, and batch normalisation in them takes its statistics
    over the tasks too. At the start this is hard sharing.

    Args:
        stages: Numbers of the stages whose outputs are modulated, from 0, or from the
            end if negative. By default the last but one, so that only the last stage
            runs once a task: modulating the last is nothing that the first layer of a
            head cannot do. A trunk of one stage is modulated at its end all the same.

    Reference:
        Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", AAAI
        2018, https://arxiv.org/abs/1709.07871. Differs in that scale and shift depend
        on the task alone, and are weights themselves.

    Example:
        >>> import keras, kmtl
        >>> trunk, inputs = kmtl.trunks.MLP([16, 16]), keras.Input((8,))
        >>> tasks = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b")]
        >>> kmtl.sharing.FiLM()(trunk, inputs, tasks).shape
        (None, 2, 16)
    """

    stages: Sequence[int] | None = None

    def __post_init__(self) -> None:
        if self.stages is None:
            return
        if isinstance(self.stages, str) or not isinstance(self.stages, Sequence):
            raise ValueError(
                "`stages` must be a list of stage numbers, such as [0, 1]. "
                f"Received: {self.stages!r}."
            )
        if not self.stages:
            raise ValueError(
                "`stages` must name a stage to modulate. Received: []. Without any "
                "this is `kmtl.sharing.Hard()`."
            )
        for stage in self.stages:
            check_stage(stage, "stages[...]")
        object.__setattr__(self, "stages", tuple(self.stages))

    def __call__(self, trunk: Trunk, inputs: Inputs, tasks: Sequence[Task]) -> Tensor:
        """Builds the trunk once.

        Args:
            trunk: What the tasks share.
            inputs: A symbolic tensor or a dict of them.
            tasks: The tasks.

        Returns:
            Symbolic tensor `(batch, ..., tasks, features)`.

        Raises:
            ValueError: If `stages` names a stage that the trunk lacks.
        """
        names = [task.name for task in tasks]
        kit = Single()
        stages = trunk.stages(kit)
        modulated = self._positions(len(stages))
        x = inputs
        for level, stage in enumerate(stages):
            x = stage(x)
            if level not in modulated:
                continue
            if level == min(modulated):
                x = SharedTensor(name="shared")(x)
                x = SplitTasks(x.shape[-1], name=f"split_{level}")(x)
            else:
                x = UnfoldTasks(tasks=names, name=f"unfold_{level}")(x)
            x = ModulateTasks(tasks=names, name=f"modulate_{level}")(x)
            x = FoldTasks(name=f"fold_{level}")(x)
        return UnfoldTasks(tasks=names, name="unfold")(trunk.finish(kit, x))

    def _positions(self, count: int) -> set[int]:
        if self.stages is None:
            return {max(count - 2, 0)}
        return {stage_index(stage, count, "stages") for stage in self.stages}
