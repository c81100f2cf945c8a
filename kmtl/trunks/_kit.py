"""What trunks are made of: layers, or stacks of layers with a slice for each copy."""

import abc
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

from kmtl._typing import Tensor
from kmtl.layers import (
    AverageMaps,
    MergeTasks,
    SplitTasks,
    TaskBatchNormalization,
    TaskConv2D,
    TaskDense,
    TaskLayerNormalization,
)
from kmtl.layers._each_slice import each_slice
from kmtl.layers._per_task import derive_seed
from kmtl.trunks._common import Initializer, Normalization, Regularizer, draw_for
from kmtl.trunks._copies import copies_of

# Stated to every layer, so that `keras.config.set_image_data_format` changes nothing.
CHANNELS = "channels_last"


class Kit(abc.ABC):
    """Makes the layers of a trunk.

    Written against a kit, a trunk runs once (`Single`) or as a stack of copies
    (`Stack`). Activations, dropout of single values and sums work on both as they are.
    """

    @abc.abstractmethod
    def dense(self, units: int, *, name: str, **options: Any) -> keras.layers.Layer:
        """A dense layer; `options` are `use_bias` and those of the kernel."""

    @abc.abstractmethod
    def conv(
        self, filters: int, kernel_size: int, *, name: str, **options: Any
    ) -> keras.layers.Layer:
        """A convolution that keeps the size; `options` as for `dense`."""

    @abc.abstractmethod
    def normalize(self, x: Tensor, normalization: Normalization, name: str) -> Tensor:
        """Normalises the last axis over the batch, over itself, or not at all."""

    @abc.abstractmethod
    def channelwise(self, x: Tensor, layer: keras.layers.Layer) -> Tensor:
        """Applies a layer that treats each channel of images on its own."""

    @abc.abstractmethod
    def average(self, x: Tensor, name: str) -> Tensor:
        """Averages images over their positions."""

    @abc.abstractmethod
    def flatten(self, x: Tensor, name: str) -> Tensor:
        """Flattens images to vectors."""

    @abc.abstractmethod
    def run(self, function: Callable[[Any], Tensor], x: Any, name: str) -> Tensor:
        """Applies a trunk that was not written against a kit."""

    @abc.abstractmethod
    def rank(self, x: Tensor) -> int:
        """The rank of one copy's part of a tensor."""

    @abc.abstractmethod
    def after_first(self) -> "Kit":
        """The kit for what follows the first layers of a trunk."""


class Single(Kit):
    """Makes ordinary Keras layers."""

    def dense(self, units: int, *, name: str, **options: Any) -> keras.layers.Layer:
        return keras.layers.Dense(units, name=name, **_drawn(options, name))

    def conv(
        self, filters: int, kernel_size: int, *, name: str, **options: Any
    ) -> keras.layers.Layer:
        return keras.layers.Conv2D(
            filters,
            kernel_size,
            padding="same",
            data_format=CHANNELS,
            name=name,
            **_drawn(options, name),
        )

    def normalize(self, x: Tensor, normalization: Normalization, name: str) -> Tensor:
        if normalization == "batch":
            return keras.layers.BatchNormalization(name=name)(x)
        if normalization == "layer":
            return keras.layers.LayerNormalization(name=name)(x)
        return x

    def channelwise(self, x: Tensor, layer: keras.layers.Layer) -> Tensor:
        return layer(x)

    def average(self, x: Tensor, name: str) -> Tensor:
        pool = keras.layers.GlobalAveragePooling2D(data_format=CHANNELS, name=name)
        return pool(x)

    def flatten(self, x: Tensor, name: str) -> Tensor:
        return keras.layers.Flatten(data_format=CHANNELS, name=name)(x)

    def run(self, function: Callable[[Any], Tensor], x: Any, name: str) -> Tensor:
        del name
        return function(x)

    def rank(self, x: Tensor) -> int:
        return len(x.shape)

    def after_first(self) -> Kit:
        return self


class Stack(Kit):
    """Makes stacks of layers, one slice a copy.

    Args:
        names: Names of the copies: a task, `"task/0"`, or `"/0"` for a copy that
            belongs to no task (see `kmtl.layers.StackedLayer`).
        seed: Decides the initial values together with the names of copy and layer.
        same_start: Whether all copies start with equal values.
        per_copy: Whether the input of the first layer has an axis of copies; else all
            copies see the same.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        seed: int,
        same_start: bool = False,
        per_copy: bool = False,
    ) -> None:
        self.names = tuple(names)
        self.seed = seed
        self.same_start = same_start
        self.per_copy = per_copy

    def dense(self, units: int, *, name: str, **options: Any) -> keras.layers.Layer:
        return TaskDense(units, **self._options(name), **_per_slice(options))

    def conv(
        self, filters: int, kernel_size: int, *, name: str, **options: Any
    ) -> keras.layers.Layer:
        return TaskConv2D(
            filters, kernel_size, **self._options(name), **_per_slice(options)
        )

    def normalize(self, x: Tensor, normalization: Normalization, name: str) -> Tensor:
        if normalization == "batch":
            return TaskBatchNormalization(**self._options(name))(x)
        if normalization == "layer":
            return TaskLayerNormalization(**self._options(name))(x)
        return x

    def channelwise(self, x: Tensor, layer: keras.layers.Layer) -> Tensor:
        merged = MergeTasks(name=f"{layer.name}_merge")(x)
        return SplitTasks(x.shape[-1], name=f"{layer.name}_split")(layer(merged))

    def average(self, x: Tensor, name: str) -> Tensor:
        return AverageMaps(name=name)(x)

    def flatten(self, x: Tensor, name: str) -> Tensor:
        copies_first = keras.layers.Permute((3, 1, 2, 4), name=f"{name}_permute")(x)
        # Not by the number of copies: the layer fits a model with another task too.
        size = math.prod(copies_first.shape[2:])
        return keras.layers.Reshape((-1, size), name=name)(copies_first)

    def run(self, function: Callable[[Any], Tensor], x: Any, name: str) -> Tensor:
        options = {**self._options(name), "per_task": self.per_copy}
        return copies_of(function, x, **options)

    def rank(self, x: Tensor) -> int:
        return len(x.shape) - self.per_copy

    def after_first(self) -> Kit:
        return Stack(
            self.names, seed=self.seed, same_start=self.same_start, per_copy=True
        )

    def _options(self, name: str) -> dict[str, Any]:
        return {
            "tasks": self.names,
            "same_start": self.same_start,
            "seed": derive_seed(self.seed, name),
            "name": name,
        }


def _drawn(options: dict[str, Any], name: str) -> dict[str, Any]:
    initializer: Initializer = options["kernel_initializer"]
    return {**options, "kernel_initializer": draw_for(initializer, name)}


def _per_slice(options: dict[str, Any]) -> dict[str, Any]:
    regularizer: Regularizer = options["kernel_regularizer"]
    return {**options, "kernel_regularizer": each_slice(regularizer)}
