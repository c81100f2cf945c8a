"""Linear mixing of the activations of all tasks."""

from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
import pandas as pd
from keras import ops

from kmtl._checks import check_positive_integer, check_share
from kmtl._typing import Config, Shape, Tensor
from kmtl.layers._stacked import StackedLayer
from kmtl.layers._weights_view import SharingWeights


@keras.saving.register_keras_serializable(package="kmtl")
class StitchTasks(StackedLayer, SharingWeights):
    """Gives each task a trained linear mix of the activations of all tasks.

    With the features of each task cut into subspaces of equal width, subspace `j` of
    task `t` becomes `sum_{s,k} A[t,j,s,k] x[s,k]`. The mix starts at `own` for the
    same task and subspace; the rest, up to 1, is spread evenly over all others.

    A slice is the row of weights with which one task receives, so a layer of one slice
    still takes the activations of all tasks.

    Args:
        tasks: Names of the tasks that receive.
        sources: Names of the tasks on the task axis of the input; `tasks` by default.
        subspaces: In how many parts the features of each task are cut.
        own: First weight of a task's own activations, from 0 to 1.
        **kwargs: `seed`, which decides nothing here, and what
            `keras.layers.Layer` takes.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., sources, features)`.

    Returns:
        Tensor of shape `(batch, ..., tasks, features)`.

    Raises:
        ValueError: If an argument or the shape of the input does not fit.

    Example:
        >>> import kmtl, numpy as np
        >>> layer = kmtl.layers.StitchTasks(tasks=["age", "income"])
        >>> layer(np.array([[[1.0], [2.0]]])).numpy()[0, :, 0].round(1)
        array([1.1, 1.9], dtype=float32)
        >>> layer.sharing_frame(None).round(1)
                age  income
        age     0.9     0.1
        income  0.1     0.9
    """

    depends_on_inputs = False

    def __init__(
        self,
        *,
        tasks: Sequence[str],
        sources: Sequence[str] | None = None,
        subspaces: int = 1,
        own: float = 0.9,
        **kwargs: Any,
    ) -> None:
        # Nothing is drawn: a seed must not move the global generator.
        super().__init__(tasks=tasks, **{"seed": 0, **kwargs})
        check_positive_integer(subspaces, "subspaces")
        check_share(own, "own")
        self.sources = self.tasks if sources is None else tuple(sources)
        self.subspaces = subspaces
        self.own = own

    def build(self, input_shape: Shape) -> None:
        self._check_input(input_shape)
        self.stitch = self.add_weight(
            name="stitch",
            shape=(len(self.tasks), self.subspaces, len(self.sources), self.subspaces),
            initializer=self._initial,
        )

    def _check_input(self, shape: Shape) -> None:
        if len(shape) < 3 or shape[-2] != len(self.sources):
            raise ValueError(
                f"`{self.name}` expects {len(self.sources)} tasks on the last axis but "
                f"one of its input. Received: shape={tuple(shape)}."
            )
        features = shape[-1] or 0
        if features % self.subspaces:
            raise ValueError(
                f"`{self.name}` cuts the features of a task into {self.subspaces} "
                f"equal subspaces. Received: {features} features. Choose a width that "
                f"is a multiple of {self.subspaces}."
            )

    def _initial(self, shape: Any, dtype: Any) -> Tensor:
        same_task = np.array([[t == s for s in self.sources] for t in self.tasks])
        own = same_task[:, None, :, None] * np.eye(self.subspaces)[:, None]
        others = len(self.sources) * self.subspaces - 1
        rest = (1.0 - self.own) / others if others else 0.0
        values = np.where(own, 1.0 - rest * others, rest).reshape(shape)
        return ops.convert_to_tensor(values, dtype=dtype)

    def call(self, inputs: Tensor) -> Tensor:
        *_, sources, features = inputs.shape
        size = (-1, *ops.shape(inputs)[1:-2])
        stitch = ops.cast(self.stitch, self.compute_dtype)
        stitch = ops.reshape(stitch, (-1, sources * self.subspaces))
        parts = (sources * self.subspaces, features // self.subspaces)
        mixed = ops.matmul(stitch, ops.reshape(inputs, (*size, *parts)))
        return ops.reshape(mixed, (*size, len(self.tasks), features))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-2], len(self.tasks), input_shape[-1])

    def carried(
        self, source: Self, values: np.ndarray, start: np.ndarray
    ) -> np.ndarray:
        """Returns rows in which no task gets anything of a source it did not know."""
        carried = start.copy()
        known = [name for name in self.sources if name in source.sources]
        columns = [self.sources.index(name) for name in known]
        theirs = [source.sources.index(name) for name in known]
        for place, name in enumerate(self.tasks):
            if name in source.tasks:
                carried[place] = 0.0
                row = values[source.tasks.index(name)]
                carried[place][:, columns] = row[:, theirs]
        return carried

    def is_read(self, task: str) -> bool:
        """Whether another task has a weight for this source that is not 0."""
        stitch = ops.convert_to_numpy(self.stitch)
        others = [place for place, name in enumerate(self.tasks) if name != task]
        return bool(stitch[others][:, :, self.sources.index(task)].any())

    def sharing_frame(self, values: np.ndarray | None) -> pd.DataFrame:
        """Returns the mix: a row for each receiver, a column for each source.

        With several subspaces the rows and columns are `"task/0"`, `"task/1"`, ...
        """
        del values
        rows = self._labels(self.tasks)
        stitch = ops.convert_to_numpy(self.stitch).reshape(len(rows), -1)
        return pd.DataFrame(stitch, index=rows, columns=self._labels(self.sources))

    def _labels(self, names: Sequence[str]) -> list[str]:
        if self.subspaces == 1:
            return list(names)
        return [f"{name}/{part}" for name in names for part in range(self.subspaces)]

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            # `None` where it follows the tasks, also when those change.
            "sources": None if self.sources == self.tasks else list(self.sources),
            "subspaces": self.subspaces,
            "own": self.own,
        }
