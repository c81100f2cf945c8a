"""The base of layers that are a stack of layers, one slice a copy."""

from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from kmtl._checks import check_unique
from kmtl._typing import Config, Shape, Tensor
from kmtl.layers._per_task import PerTask, draw_seed


class StackedLayer(keras.layers.Layer):
    """A stack of layers of one form, run at once; every weight is `(slices, ...)`.

    A slice is named after the task it belongs to. Several slices of one task are
    `"task/0"`, `"task/1"`, and slices that belong to no task, such as shared experts,
    `"/0"`, `"/1"`.

    Args:
        tasks: Names of the slices.
        same_start: Whether all slices start with equal values.
        seed: Decides the initial values together with each slice's name. Drawn from
            the global Keras seed by default.
        **kwargs: Passed to `keras.layers.Layer`.
    """

    def __init__(
        self,
        *,
        tasks: Sequence[str],
        same_start: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_unique(list(tasks), "tasks")
        self.tasks = tuple(tasks)
        self.same_start = same_start
        self.seed = draw_seed() if seed is None else seed

    def add_stack(
        self, name: str, shape: Shape, initializer: Any, **options: Any
    ) -> Any:
        """Adds a weight `(slices, *shape)`; each slice is drawn as on its own."""
        names = ("",) * len(self.tasks) if self.same_start else self.tasks
        return self.add_weight(
            name=name,
            shape=(len(self.tasks), *shape),
            initializer=PerTask(initializer, tasks=names, seed=self.seed),
            **options,
        )

    @property
    def stacked_weights(self) -> dict[str, Any]:
        """The weights by name; the first axis of each is that of the slices."""
        return {weight.name: weight for weight in self.weights}

    def copy_slices(self, source: Self) -> None:
        """Takes over the slices that another layer of this form has too, by name.

        With `same_start` a new slice starts at the mean of the others, else it keeps
        the values that it was built with.
        """
        for ours, theirs in zip(self.weights, source.weights, strict=True):
            start, values = map(ops.convert_to_numpy, (ours, theirs))
            if self.same_start and ours.dtype.startswith("float"):
                start = np.broadcast_to(values.mean(axis=0), start.shape)
            ours.assign(self.carried(source, values, start))

    def carried(
        self, source: Self, values: np.ndarray, start: np.ndarray
    ) -> np.ndarray:
        """Puts the slices of another layer where this one has those of the same name.

        Args:
            source: The other layer.
            values: One of its weights, or what an optimizer keeps for it.
            start: The same of this layer, as it starts.

        Returns:
            `start` with the slices of `values` that both have.
        """
        carried = start.copy()
        for place, name in enumerate(self.tasks):
            if name in source.tasks:
                carried[place] = values[source.tasks.index(name)]
        return carried

    @property
    def has_room(self) -> bool:
        """Whether a new slice would leave the outputs of the others as they are."""
        return True

    def is_read(self, task: str) -> bool:
        """Whether what other tasks get depends on the slices of a task."""
        del task
        return False

    def check_slices(self, input_shape: Shape) -> None:
        """Raises `ValueError` unless a per-slice input has a slice for each of ours."""
        if input_shape[-2] != len(self.tasks):
            raise ValueError(
                f"`{self.name}` expects {len(self.tasks)} tasks on the last axis but "
                f"one of its input. Received: shape={tuple(input_shape)}."
            )

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "tasks": list(self.tasks),
            "same_start": self.same_start,
            "seed": self.seed,
        }


class SlicewiseLayer(StackedLayer):
    """A stack whose slices each work on their own input, with their own weights."""

    def call(self, inputs: Tensor) -> Tensor:
        return self.apply_slices(inputs, self.weights)

    def apply_slices(self, inputs: Tensor, weights: Sequence[Any]) -> Tensor:
        """Computes what `call` does in predictions, with slices of any number.

        Args:
            inputs: As of a call, with one slice for each of the weights.
            weights: Tensors `(slices, ...)` in the order of `self.weights`.
        """
        raise NotImplementedError


def owner_of(slice_name: str) -> str:
    """Returns the task that a slice belongs to, or an empty string."""
    return slice_name.split("/", 1)[0]
