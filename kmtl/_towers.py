"""The coupled weights of towers: penalty, proximal step and distances."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import ops

from kmtl._typing import Tensor
from kmtl.layers import Coupling, StackedLayer
from kmtl.regularizers import TaskCovariance, TaskRegularizer


@dataclass(frozen=True)
class CoupledWeight:
    """A stacked weight that a regularizer draws together.

    Attributes:
        name: `"<layer>/<weight>"`.
        variable: The weight, `(tasks, ...)`.
        tasks: The tasks of its slices.
        regularizer: The regularizer, for these tasks in this order.
    """

    name: str
    variable: Any
    tasks: tuple[str, ...]
    regularizer: TaskRegularizer

    @property
    def tensor(self) -> Tensor:
        """The value of the weight; outside a graph Keras' own is still a variable."""
        return self.variable[...]


class Towers:
    """What soft sharing couples in a model.

    Args:
        coupling: The layer that says so.
        layers: The layers of the model.
        heads: The layers of its heads.
    """

    def __init__(
        self,
        coupling: Coupling,
        layers: Sequence[keras.layers.Layer],
        heads: Sequence[keras.layers.Layer],
    ) -> None:
        self.coupling = coupling
        by_name = {layer.name: layer for layer in layers}
        self.weights = []
        for name in coupling.coupled:
            # Neither names of Keras layers nor of their weights hold a slash, but
            # paths of weights inside a template do.
            layer, weight = name.split("/", 1)
            self.weights.append(_coupled(coupling, by_name[layer], weight))
        if coupling.heads:
            self.weights += [
                _coupled(coupling, head, "kernel")
                for head in heads
                if isinstance(head, StackedLayer) and len(head.tasks) > 1
            ]

    def penalty(self) -> Tensor:
        """The penalty of all coupled weights, times the strength."""
        strength = self.coupling.strength.value
        parts = [
            ops.cast(w.regularizer.penalty(w.tensor), strength.dtype)
            for w in self.weights
        ]
        return strength * ops.sum(ops.stack(parts))

    def proximal_step(self, learning_rate: Tensor) -> None:
        """Replaces every coupled weight by what the penalty's proximal map makes it."""
        strength = self.coupling.strength.value
        step = ops.cast(learning_rate, strength.dtype) * strength
        for weight in self.weights:
            near = weight.regularizer.proximal(weight.tensor, step)
            weight.variable.assign(near)

    def distances(self) -> dict[str, pd.DataFrame]:
        """Euclidean distances between the slices of each coupled weight."""
        return {w.name: _distances(w) for w in self.weights}

    def covariances(self) -> dict[str, pd.DataFrame]:
        """The task covariance of each coupled weight, as its regularizer implies it."""
        if not isinstance(self.coupling.regularizer, TaskCovariance):
            raise ValueError(
                "The towers must be coupled by `kmtl.regularizers.TaskCovariance`. "
                f"Received: {type(self.coupling.regularizer).__name__}."
            )
        return {
            w.name: w.regularizer.covariance(w.tensor, w.tasks) for w in self.weights
        }


def _coupled(coupling: Coupling, layer: StackedLayer, weight: str) -> CoupledWeight:
    return CoupledWeight(
        name=f"{layer.name}/{weight}",
        variable=layer.stacked_weights[weight],
        tasks=layer.tasks,
        regularizer=coupling.regularizer.for_tasks(layer.tasks),
    )


def _distances(weight: CoupledWeight) -> pd.DataFrame:
    rows = ops.convert_to_numpy(weight.variable).astype("float64")
    rows = rows.reshape(len(rows), -1)
    values = np.stack([np.linalg.norm(rows - row, axis=1) for row in rows])
    names = list(weight.tasks)
    return pd.DataFrame(values, index=names, columns=names)
