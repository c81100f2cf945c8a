"""Stages of convolutions, pooled to a vector."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Literal

import keras

from kmtl._checks import (
    check_choice,
    check_flag,
    check_positive_integer,
    check_units,
    shorten,
)
from kmtl._typing import Tensor
from kmtl.layers import SplitTasks
from kmtl.layers._scale_image import ScaleImage, check_image_dtype
from kmtl.trunks import _common as common
from kmtl.trunks._kit import CHANNELS, Kit
from kmtl.trunks._trunk import Inputs, Stage, Trunk


@dataclass(frozen=True, slots=True)
class CNN(Trunk):
    """A trunk of convolutions for images.

    Images are scaled (`uint8` to 0..1), go through the stages, and are pooled to one
    vector. A stage is `depth` times convolution, normalisation and activation, then
    dropout of whole channels; a max pooling by two stands between stages.

    Args:
        filters_per_stage: The number of channels of each stage, such as `[32, 64]`.
        depth: Number of convolutions in each stage.
        kernel_size: Height and width of the convolutions, in pixels; they keep the size
            of the image.
        activation: Keras name or function, after every convolution.
        dropout: Share of channels dropped after each stage, from 0 to below 1.
        normalization: `"batch"`, `"layer"` (over the channels) or `None`.
        residual: Whether each stage has a skip connection, with a projection without
            bias where the number of channels changes.
        pooling: `"avg"` or `"max"` over all pixels, `"flatten"`, or `None` for the
            feature map itself, which only a head of your own can take.
        kernel_initializer: Keras name or initialiser. Each layer draws its own values,
            also from an instance with a seed.
        kernel_regularizer: Keras name or regularizer of every kernel, or `None`.
        name: First part of the layer names, as in `trunk_conv_0_0` (stage, then number
            in the stage). Two trunks in one model need two names.

    Call arguments:
        x: Symbolic tensor of shape `(batch, height, width, channels)`, of dtype `uint8`
            or float. `(batch, height, width)` is one channel. A dict with one tensor
            works too.

    Returns:
        Symbolic tensor of shape `(batch, filters_per_stage[-1])`; with `"flatten"`
        `(batch, pixels * filters_per_stage[-1])`; with `pooling=None`
        `(batch, height, width, filters_per_stage[-1])`.

    Raises:
        ValueError: If an argument is out of its range, if `x` is no image, or if it is
            too small for the number of stages.

    Example:
        >>> import keras
        >>> import kmtl
        >>> trunk = kmtl.trunks.CNN([16, 32], normalization="batch")
        >>> trunk(keras.Input((28, 28), dtype="uint8")).shape
        (None, 32)
    """

    filters_per_stage: Sequence[int]
    _: KW_ONLY
    depth: int = 1
    kernel_size: int = 3
    activation: common.Activation = "relu"
    dropout: float = 0.0
    normalization: common.Normalization = None
    residual: bool = False
    pooling: Literal["avg", "max", "flatten"] | None = "avg"
    kernel_initializer: common.Initializer = "glorot_uniform"
    kernel_regularizer: common.Regularizer = None
    name: str = "trunk"

    def __post_init__(self) -> None:
        check_units(self.filters_per_stage, "filters_per_stage")
        filters = tuple(self.filters_per_stage)
        object.__setattr__(self, "filters_per_stage", filters)
        common.check_widths(filters, "filters_per_stage", "CNN([32, 64])")
        check_positive_integer(self.depth, "depth")
        check_positive_integer(self.kernel_size, "kernel_size")
        common.check_activation(self.activation)
        common.check_dropout(self.dropout)
        check_choice(self.normalization, ("batch", "layer", None), "normalization")
        check_flag(self.residual, "residual")
        check_choice(self.pooling, ("avg", "max", "flatten", None), "pooling")
        common.check_kernel(self.kernel_initializer, self.kernel_regularizer)
        common.check_name(self.name)

    def stages(self, kit: Kit) -> list[Stage]:
        """Returns one stage for each entry of `filters_per_stage`."""
        first, *rest = range(len(self.filters_per_stage))
        return [
            lambda x: self._stage(kit, self._scale(kit, x), first),
            *(partial(self._stage, kit, stage=stage) for stage in rest),
        ]

    def _scale(self, kit: Kit, x: Inputs) -> Tensor:
        x = common.only_tensor(x)
        _check_image(kit, x, len(self.filters_per_stage), self.pooling)
        x = ScaleImage(name=f"{self.name}_scale")(x)
        if len(x.shape) == 3:
            x = keras.layers.Reshape((*x.shape[1:], 1), name=f"{self.name}_channel")(x)
        return x

    def _stage(self, kit: Kit, x: Tensor, stage: int) -> Tensor:
        if stage > 0:
            pool = keras.layers.MaxPooling2D(
                data_format=CHANNELS, name=f"{self.name}_shrink_{stage}"
            )
            x = kit.channelwise(x, pool)
        y = x
        for number in range(self.depth):
            y = self._convolve(kit, y, stage, number)
        if self.dropout:
            drop = keras.layers.SpatialDropout2D(
                self.dropout,
                data_format=CHANNELS,
                name=f"{self.name}_dropout_{stage}",
            )
            y = kit.channelwise(y, drop)
        return self._skip(kit, x, y, stage) if self.residual else y

    def _convolve(self, kit: Kit, x: Tensor, stage: int, number: int) -> Tensor:
        place = f"{stage}_{number}"
        # A bias before batch normalisation is subtracted again with the mean.
        use_bias = self.normalization != "batch"
        x = self._conv(kit, stage, f"conv_{place}", self.kernel_size, use_bias)(x)
        x = kit.normalize(x, self.normalization, f"{self.name}_norm_{place}")
        return keras.layers.Activation(
            self.activation, name=f"{self.name}_activation_{place}"
        )(x)

    def _skip(self, kit: Kit, x: Tensor, y: Tensor, stage: int) -> Tensor:
        if x.shape[-1] != y.shape[-1]:
            x = self._conv(kit, stage, f"projection_{stage}", 1, use_bias=False)(x)
        elif len(x.shape) < len(y.shape):  # one image for a stack of copies
            x = SplitTasks(x.shape[-1], name=f"{self.name}_one")(x)
        return keras.layers.Add(name=f"{self.name}_add_{stage}")([x, y])

    def _conv(
        self, kit: Kit, stage: int, role: str, kernel_size: int, use_bias: bool
    ) -> keras.layers.Layer:
        return kit.conv(
            self.filters_per_stage[stage],
            kernel_size,
            use_bias=use_bias,
            kernel_initializer=self.kernel_initializer,
            kernel_regularizer=self.kernel_regularizer,
            name=f"{self.name}_{role}",
        )

    def finish(self, kit: Kit, x: Tensor) -> Tensor:
        """Pools the map to a vector, unless `pooling` is `None`."""
        name = f"{self.name}_pool"
        if self.pooling is None:
            return x
        if self.pooling == "flatten":
            return kit.flatten(x, name)
        if self.pooling == "avg":
            return kit.average(x, name)
        pool = keras.layers.GlobalMaxPooling2D(data_format=CHANNELS, name=name)
        return kit.channelwise(x, pool)


def _check_image(kit: Kit, x: Inputs, stages: int, pooling: object) -> None:
    if isinstance(x, Mapping):
        raise ValueError(
            "`x` must be one image for a CNN. Received several inputs: "
            f"{shorten(x)}. Join them in a keras.Model whose inputs have these names, "
            "and pass that as the trunk."
        )
    common.check_symbolic(x, "x")
    check_image_dtype(x.dtype, "x")
    if kit.rank(x) not in (3, 4):
        raise ValueError(
            "`x` must have shape (batch, height, width, channels) for a CNN, or "
            f"(batch, height, width) for one channel. Received: shape={x.shape}. For "
            "rows of numbers take `kmtl.trunks.MLP`."
        )
    _check_size(x, stages, pooling)


def _check_size(x: Tensor, stages: int, pooling: object) -> None:
    sizes = x.shape[1:3]
    if None in sizes and (pooling == "flatten" or len(x.shape) == 3):
        raise ValueError(
            "`x` must have a known height and width with `pooling='flatten'` or "
            f"without a channel axis. Received: shape={x.shape}. Declare the size and "
            "the channels, or take `pooling='avg'`."
        )
    smallest = 2 ** (stages - 1)
    if any(size is not None and size < smallest for size in sizes):
        raise ValueError(
            f"`x` must be at least {smallest} pixels high and wide: each of the "
            f"{stages} stages but the first halves the image. Received: "
            f"shape={x.shape}. Take fewer stages."
        )
