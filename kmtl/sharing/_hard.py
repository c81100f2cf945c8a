"""Hard parameter sharing."""

from collections.abc import Sequence
from dataclasses import dataclass

from kmtl._typing import Tensor
from kmtl.layers import SharedTensor
from kmtl.tasks import Task
from kmtl.trunks import Inputs, Trunk


@dataclass(frozen=True)
class Hard:
    """One trunk for all tasks; only the heads differ.

    Reference:
        Caruana, "Multitask Learning", Machine Learning 28, 1997.

    Example:
        >>> import keras, kmtl
        >>> trunk, inputs = kmtl.trunks.MLP([16]), keras.Input((8,))
        >>> kmtl.sharing.Hard()(trunk, inputs, [kmtl.BinaryTask("a")]).shape
        (None, 16)
    """

    def __call__(self, trunk: Trunk, inputs: Inputs, tasks: Sequence[Task]) -> Tensor:
        """Applies the trunk once.

        Args:
            trunk: What the tasks share.
            inputs: A symbolic tensor or a dict of them.
            tasks: The tasks of the model; all see the same representation.

        Returns:
            The output of the trunk, shared by all tasks.
        """
        del tasks
        return SharedTensor(name="shared")(trunk(inputs))
