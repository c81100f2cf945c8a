"""What a trunk is: stages, applied in turn."""

import abc
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from kmtl._typing import Tensor
from kmtl.trunks._kit import Kit, Single

Inputs: TypeAlias = Tensor | Mapping[str, Tensor]
Stage: TypeAlias = Callable[[Any], Tensor]


class Trunk(abc.ABC):
    """A network from the inputs to a representation, as a sequence of stages.

    Sharings mix the tasks between the stages. `kmtl.trunks.MLP` has a stage a width,
    `CNN` a stage a block of filters, a list of trunks has those of its members, and
    anything else that `as_trunk` takes is one stage.
    """

    __slots__ = ()

    @abc.abstractmethod
    def stages(self, kit: Kit) -> list[Stage]:
        """Returns the stages, made of the layers of a kit.

        The first takes the inputs, each other one the output of the one before it.
        With a `Stack` that output has an axis of copies, the last but one.
        """

    def finish(self, kit: Kit, x: Tensor) -> Tensor:
        """Turns the output of the last stage into the representation: pools maps."""
        del kit
        return x

    def __call__(self, x: Inputs) -> Tensor:
        """Applies the trunk once; see the class for shapes."""
        return self.apply(Single(), x)

    def apply(self, kit: Kit, x: Inputs) -> Tensor:
        """Applies all stages with the layers of a kit."""
        for stage in self.stages(kit):
            x = stage(x)
        return self.finish(kit, x)
