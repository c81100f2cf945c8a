"""Multi-task attention networks."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras

from kmtl._typing import Tensor
from kmtl.layers import (
    AttentionMask,
    FoldTasks,
    SharedTensor,
    SplitTasks,
    UnfoldTasks,
)
from kmtl.layers._per_task import draw_seed
from kmtl.sharing._stages import pool_map
from kmtl.tasks import Task
from kmtl.trunks import Inputs, Single, Stack, Trunk

_CHANNELS = "channels_last"


@dataclass(frozen=True)
class MTAN:
    """One trunk for all tasks; each task attends to the features of every stage.

    After each stage a task multiplies the shared features with a mask from 0 to 1,
    which comes from these features and from what the task has attended to before: two
    1x1 convolutions of the task's own, each with batch normalisation. Between stages
    the features of a task go through a 3x3 convolution with weights that all tasks
    share. Made for convolutional trunks; on vectors, dense layers take the place of
    convolutions. Look at the mean masks with `model.sharing_weights(x)`.

    Every task keeps maps and about three kernels of the channels squared a stage:
    for many tasks `kmtl.sharing.FiLM` is much cheaper.

    Reference:
        Liu et al., "End-to-End Multi-Task Learning with Attention", CVPR 2019,
        https://arxiv.org/abs/1803.10704. Differs in that masks are computed from the
        features they are multiplied with, as a stage of a trunk has one output, and
        that maps shrink before the shared convolution, not after it, like those of the
        trunk.

    Example:
        >>> import keras, kmtl
        >>> trunk, inputs = kmtl.trunks.CNN([8, 16]), keras.Input((28, 28, 1))
        >>> tasks = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b")]
        >>> kmtl.sharing.MTAN()(trunk, inputs, tasks).shape
        (None, 2, 16)
    """

    def __call__(self, trunk: Trunk, inputs: Inputs, tasks: Sequence[Task]) -> Tensor:
        """Builds the trunk once, and the attention of the tasks.

        Args:
            trunk: What the tasks share.
            inputs: A symbolic tensor or a dict of them.
            tasks: The tasks.

        Returns:
            Symbolic tensor `(batch, ..., tasks, features)`.

        Raises:
            ValueError: If a stage gives neither maps of known size nor vectors.
        """
        kit = Stack([task.name for task in tasks], seed=draw_seed(), per_copy=True)
        x: Inputs = inputs
        attended = None
        for level, stage in enumerate(trunk.stages(Single())):
            x = stage(x)
            # Beside the way to the next stage: there the tasks meet again.
            shared = SharedTensor(name=f"shared_{level}")(x)
            attended = _attend(kit, shared, attended, level)
        return trunk.finish(kit, attended)


def _attend(kit: Stack, shared: Tensor, before: Tensor | None, level: int) -> Tensor:
    """Masks shared features `(batch, ..., features)` for each task."""
    _check_features(shared)
    stem, width = f"attention_{level}", shared.shape[-1]
    scores = _pointwise(kit, shared, width, f"{stem}_shared")
    if before is not None:
        own = _passed_on(kit, shared, before, stem)
        own = _pointwise(kit, own, width, f"{stem}_own")
        scores = keras.layers.Add(name=f"{stem}_add")([scores, own])
    scores = kit.normalize(scores, "batch", f"{stem}_norm")
    scores = keras.layers.ReLU(name=f"{stem}_relu")(scores)
    scores = _pointwise(kit, scores, width, f"{stem}_score")
    scores = kit.normalize(scores, "batch", f"{stem}_score_norm")
    mask = AttentionMask(tasks=kit.names, name=stem)(scores)
    one = SplitTasks(width, name=f"{stem}_one")(shared)
    return keras.layers.Multiply(name=f"{stem}_masked")([one, mask])


def _check_features(shared: Tensor) -> None:
    sizes = shared.shape[1:]
    if len(sizes) in (1, 3) and None not in sizes:
        return
    raise ValueError(
        "`MTAN` attends to maps (batch, height, width, channels) of known size, or to "
        f"vectors. Received: a stage with an output of shape {tuple(shared.shape)}. "
        "Declare the size of the images, or pool sequences to vectors."
    )


def _pointwise(kit: Stack, x: Tensor, width: int, name: str) -> Tensor:
    """Applies a dense layer of each task's own at every position."""
    # A sum of two such products is the product with the joined features. A bias before
    # batch normalisation is subtracted again with the mean.
    options = {"kernel_initializer": "glorot_uniform", "kernel_regularizer": None}
    if len(x.shape) > 3:
        return kit.conv(width, 1, name=name, use_bias=False, **options)(x)
    return kit.dense(width, name=name, use_bias=False, **options)(x)


def _passed_on(kit: Stack, shared: Tensor, before: Tensor, stem: str) -> Tensor:
    """Brings what the tasks attended to before to the size of the next stage."""
    width = shared.shape[-1]
    if len(shared.shape) == 2:
        before = pool_map(before, rank=3)
        layer = keras.layers.Dense(width, use_bias=False, name=f"{stem}_pass")
    else:
        layer = keras.layers.Conv2D(
            width,
            3,
            padding="same",
            use_bias=False,
            data_format=_CHANNELS,
            name=f"{stem}_pass",
        )
    x = FoldTasks(name=f"{stem}_fold")(before)
    x = layer(_shrunk(x, shared.shape, f"{stem}_shrink"))
    x = keras.layers.BatchNormalization(name=f"{stem}_pass_norm")(x)
    x = keras.layers.ReLU(name=f"{stem}_pass_relu")(x)
    return UnfoldTasks(tasks=kit.names, name=f"{stem}_unfold")(x)


def _shrunk(x: Tensor, target: Sequence[int], name: str) -> Tensor:
    """Pools a map to the height and width of another one."""
    old, new = x.shape[1:-1], tuple(target[1:-1])
    if old == new:
        return x
    # What a trunk may have done: windows that fit inside the map, or cover all of it.
    floors = tuple(max(a // b, 1) for a, b in zip(old, new, strict=True))
    ceilings = tuple(-(-a // b) for a, b in zip(old, new, strict=True))
    for padding, size in (("valid", floors), ("same", ceilings)):
        pool = keras.layers.MaxPooling2D(
            size, padding=padding, data_format=_CHANNELS, name=name
        )
        if pool.compute_output_shape(x.shape)[1:-1] == new:
            return pool(x)
    raise ValueError(
        f"`MTAN` cannot pool maps of {old} pixels to {new}, as the trunk does from one "
        "stage to the next. Take a trunk whose stages shrink maps by whole factors."
    )
