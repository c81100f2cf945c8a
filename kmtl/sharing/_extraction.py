"""Levels of own and shared experts: the network of CGC and PLE."""

from collections.abc import Sequence

import keras

from kmtl._typing import Tensor
from kmtl.layers import (
    MixExperts,
    MixOwnExperts,
    SharedGate,
    SharedTensor,
    SplitShared,
    StreamsToExperts,
    TaskGate,
)
from kmtl.sharing._experts import own_experts, shared_experts
from kmtl.sharing._gate_inputs import gate_inputs
from kmtl.tasks import Task
from kmtl.trunks import Inputs, Stage


class Extraction:
    """Mixes the experts of each stage for each task.

    Args:
        tasks: The tasks, one a stream.
        own: Number of experts of each task on each level.
        shared: Number of shared experts on each level.

    Attributes:
        experts: Names of the experts of a level, those of the tasks first.
    """

    def __init__(self, tasks: Sequence[Task], own: int, shared: int) -> None:
        self._names = [task.name for task in tasks]
        self._own = own
        self._shared = shared
        self.experts = [*own_experts(tasks, own), *shared_experts(shared)]

    def __call__(self, stages: Sequence[Stage], inputs: Inputs) -> Tensor:
        """Builds a level for each stage.

        Args:
            stages: The stages of a stack of `experts`.
            inputs: What the first stage takes.

        Returns:
            Symbolic tensor `(batch, ..., tasks, features)`.
        """
        x = inputs
        streams = shared_stream = gate_inputs(inputs)
        *inner, last = stages
        for level, stage in enumerate(inner):
            experts = stage(x)
            streams = self._mixed(level, self._split(level, experts), streams)
            shared_stream = self._mixed_for_all(level, experts, shared_stream)
            x = self._to_experts(level, streams, shared_stream)
        own, *shared = self._split(len(inner), last(x))
        shared = [SharedTensor(name="shared")(tensor) for tensor in shared]
        return self._mixed(len(inner), [own, *shared], streams)

    def _split(self, level: int, experts: Tensor) -> list[Tensor]:
        if not self._shared:
            return [experts]
        split = SplitShared(self._shared, name=f"split_{level}")
        return list(split(experts))

    def _mixed(self, level: int, parts: list[Tensor], streams: Tensor) -> Tensor:
        columns = [f"(own)/{i}" for i in range(self._own)]  # no task has such a name
        columns += shared_experts(self._shared)
        gate = TaskGate(columns, tasks=self._names, name=f"gate_{level}")
        return MixOwnExperts(name=f"mixture_{level}")([*parts, gate(streams)])

    def _mixed_for_all(self, level: int, experts: Tensor, stream: Tensor) -> Tensor:
        if not self._shared:
            return stream
        gate = SharedGate(tasks=self.experts, name=f"shared_gate_{level}")
        mix = MixExperts(name=f"shared_mixture_{level}")
        return mix([experts, gate(stream)])

    def _to_experts(self, level: int, streams: Tensor, shared: Tensor) -> Tensor:
        if self._shared:
            join = keras.layers.Concatenate(axis=-2, name=f"streams_{level}")
            streams = join([streams, shared])
        spread = StreamsToExperts(
            self._own, shared=self._shared, name=f"to_experts_{level}"
        )
        return spread(streams)
