"""Cross-stitch networks."""

from collections.abc import Sequence
from dataclasses import dataclass

from kmtl._checks import check_share
from kmtl._typing import Tensor
from kmtl.layers import StitchTasks
from kmtl.layers._per_task import draw_seed
from kmtl.tasks import Task
from kmtl.trunks import Inputs, Stack, Trunk


@dataclass(frozen=True)
class CrossStitch:
    """A tower for each task; after each stage the tasks exchange activations.

    The activations of task `t` become `sum_s A[t,s] x[s]`, with one trained matrix
    `A` a stage, see `kmtl.layers.StitchTasks` and `model.sharing_weights()`. Towers
    start different. There are as many towers as tasks: for many tasks see
    `kmtl.sharing.MMoE`.

    Args:
        own: First weight of a task's own activations, from 0 to 1; the rest is spread
            evenly over the other tasks. With 1 the towers start independent.

    Reference:
        Misra et al., "Cross-stitch Networks for Multi-task Learning", CVPR 2016,
        https://arxiv.org/abs/1604.03539. Differs in that a stage has one matrix for all
        its channels, and that maps are mixed before the pooling of the next stage. The
        paper starts from networks trained on single tasks, and raises the learning rate
        of the matrices 100 to 1000 times. Here they learn like other weights: on 40,000
        rows of Census-Income, 10 and 30 times the step with Adam changed the test loss
        by less than another seed does, and 100 times the rate with SGD diverged.

    Example:
        >>> import keras, kmtl
        >>> trunk, inputs = kmtl.trunks.MLP([16]), keras.Input((8,))
        >>> tasks = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b")]
        >>> kmtl.sharing.CrossStitch()(trunk, inputs, tasks).shape
        (None, 2, 16)
    """

    own: float = 0.9

    def __post_init__(self) -> None:
        check_share(self.own, "own")

    def __call__(self, trunk: Trunk, inputs: Inputs, tasks: Sequence[Task]) -> Tensor:
        """Builds the towers.

        Args:
            trunk: The form of a tower.
            inputs: A symbolic tensor or a dict of them.
            tasks: The tasks, one a tower.

        Returns:
            Symbolic tensor `(batch, ..., tasks, features)`.
        """
        names = [task.name for task in tasks]
        kit = Stack(names, seed=draw_seed())
        x = inputs
        for level, stage in enumerate(trunk.stages(kit)):
            stitch = StitchTasks(tasks=names, own=self.own, name=f"stitch_{level}")
            x = stitch(stage(x))
        return trunk.finish(kit, x)
