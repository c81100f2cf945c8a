"""What mixtures of experts have in common."""

from collections.abc import Sequence

from kmtl._typing import Tensor
from kmtl.layers import SharedTensor
from kmtl.layers._per_task import draw_seed
from kmtl.tasks import Task
from kmtl.trunks import Inputs, Stack, Stage, Trunk


def own_experts(tasks: Sequence[Task], count: int) -> list[str]:
    """Names of `count` experts for each task, those of the first task first."""
    return [f"{task.name}/{i}" for task in tasks for i in range(count)]


def shared_experts(count: int) -> list[str]:
    """Names of `count` experts that belong to no task."""
    return [f"/{i}" for i in range(count)]


def whole_trunks(trunk: Trunk, inputs: Inputs, experts: Sequence[str]) -> Tensor:
    """Makes experts that are copies of the whole trunk, all shared by all tasks."""
    outputs = trunk.apply(Stack(experts, seed=draw_seed()), inputs)
    return SharedTensor(name="shared")(outputs)


def pooled_stages(trunk: Trunk, experts: Sequence[str]) -> list[Stage]:
    """The stages of a stack of experts; the last one pools maps to vectors."""
    kit = Stack(experts, seed=draw_seed())
    *stages, last = trunk.stages(kit)
    return [*stages, lambda x: trunk.finish(kit, last(x))]
