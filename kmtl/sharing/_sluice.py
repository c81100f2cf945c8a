"""Sluice networks."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import keras
from keras import ops

from kmtl._checks import check_share, check_weight
from kmtl._typing import Tensor
from kmtl.layers import (
    Coupling,
    MixStages,
    StitchTasks,
    TaskDense,
)
from kmtl.layers._per_task import derive_seed, draw_seed
from kmtl.regularizers import TaskRegularizer
from kmtl.regularizers._weights import as_stack
from kmtl.sharing._stages import pool_map
from kmtl.sharing._tower_weights import tower_weights
from kmtl.tasks import Task
from kmtl.trunks import Inputs, Stack, Trunk

_SUBSPACES = 2


@dataclass(frozen=True)
class Sluice:
    """Towers that exchange activations by subspaces, and tasks that mix their stages.

    * The features of a task are cut into two halves; after each stage every half of
      every task is a trained mix of all halves of all tasks (`alpha` of the paper).
    * A task's representation is a trained mix of the outputs of all stages of its
      tower (`beta`), which start with equal weights. Maps are pooled by their average;
      stages of another width than the representation go through a projection of the
      task's own, without bias.
    * A penalty draws the kernels of the two halves towards orthogonal subspaces of
      their inputs. It is logged as `sharing_penalty`; `model.sharing_strength` reads
      and sets its strength.

    Args:
        own: First weight of a half's own activations in the mix, from 0 to 1; the rest
            is spread evenly.
        orthogonality: Strength of the penalty; 0 for none.

    Reference:
        Ruder et al., "Latent Multi-Task Architecture Learning", AAAI 2019,
        https://arxiv.org/abs/1705.08142. The penalty is the paper's
        `||G_1^T G_2||_F^2`, with the columns of `G` for units; the code of its authors
        sums over units in place of inputs. Differs in that the paper starts `alpha`
        from a pattern with a direction.

    Example:
        >>> import keras, kmtl
        >>> trunk, inputs = kmtl.trunks.MLP([16, 8]), keras.Input((8,))
        >>> tasks = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b")]
        >>> kmtl.sharing.Sluice()(trunk, inputs, tasks).shape
        (None, 2, 8)
    """

    own: float = 0.95
    _: KW_ONLY
    orthogonality: float = 0.01

    def __post_init__(self) -> None:
        check_share(self.own, "own")
        check_weight(self.orthogonality, "orthogonality")

    def __call__(self, trunk: Trunk, inputs: Inputs, tasks: Sequence[Task]) -> Tensor:
        """Builds the towers.

        Args:
            trunk: The form of a tower; the stages need even widths.
            inputs: A symbolic tensor or a dict of them.
            tasks: The tasks, one a tower.

        Returns:
            Symbolic tensor `(batch, tasks, features)`.

        Raises:
            ValueError: If the width of a stage is odd, or if the trunk ends in a map.
        """
        names = [task.name for task in tasks]
        seed = draw_seed()
        kit = Stack(names, seed=seed)
        x, stages = inputs, []
        for level, stage in enumerate(trunk.stages(kit)):
            x = StitchTasks(
                tasks=names, subspaces=_SUBSPACES, own=self.own, name=f"stitch_{level}"
            )(stage(x))
            stages.append(x)
        towers = trunk.finish(kit, x)
        weights = tower_weights(inputs, towers)
        kernels = [name for name, is_kernel in weights.items() if is_kernel]
        outputs = _mixed(towers, stages[:-1], names, seed)
        if not kernels:
            return outputs
        penalty = OrthogonalSubspaces(self.orthogonality)
        return Coupling(penalty, kernels, name="coupling")(outputs)


def _mixed(
    last: Tensor, inner: Sequence[Tensor], names: Sequence[str], seed: int
) -> Tensor:
    """Mixes what a trunk ends in with the outputs of the stages before."""
    if len(last.shape) != 3:
        raise ValueError(
            "`Sluice` needs a trunk that ends in a vector, to mix it with other "
            f"stages. Received: a map of shape {tuple(last.shape)} for all tasks. Pool "
            "it, as `kmtl.trunks.CNN` does by default."
        )
    width = last.shape[-1]
    stages = []
    for level, x in enumerate(inner):
        vector = pool_map(x, rank=3)
        if vector.shape[-1] != width:
            vector = TaskDense(
                width,
                tasks=names,
                use_bias=False,
                seed=derive_seed(seed, "projection", level),
                name=f"project_{level}",
            )(vector)
        stages.append(vector)
    return MixStages(tasks=names, name="mix_stages")([*stages, last])


@keras.saving.register_keras_serializable(package="kmtl")
class OrthogonalSubspaces(TaskRegularizer):
    """How far the two halves of the units are from orthogonal subspaces of the inputs.

    With a slice of a kernel as a matrix `[G_1, G_2]` of inputs by units, the sum of
    `||G_1^T G_2||_F^2` over the slices.

    Args:
        strength: Factor of the penalty.
    """

    def penalty(self, weights: Tensor) -> Tensor:
        stack = as_stack(weights)
        units = stack.shape[-1]
        # One matrix a slice: the kernel of a convolution has several axes of inputs.
        kernels = ops.reshape(stack, (stack.shape[0], -1, units))
        half = units // _SUBSPACES
        products = ops.einsum("tij,tik->tjk", kernels[..., :half], kernels[..., half:])
        return ops.sum(ops.square(products))
