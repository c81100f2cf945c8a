"""How the tasks of a model share: the part of `MTLModel` that shows it."""

from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import ops

from kmtl._checks import check_weight
from kmtl._prepare import prepare_inputs
from kmtl._towers import Towers
from kmtl._training import Trainer
from kmtl.layers import SharingWeights


class SharingView(Trainer):
    """Reads, and for soft sharing sets, how the tasks share."""

    @property
    def sharing_strength(self) -> float:
        """The strength of the penalty of soft sharing; assign a number to change it.

        Raises:
            ValueError: If the model was not built with `kmtl.sharing.Soft`, or for a
                strength that is not finite and at least 0.
        """
        return float(ops.convert_to_numpy(self._coupled_towers().coupling.strength))

    @sharing_strength.setter
    def sharing_strength(self, value: float) -> None:
        check_weight(value, "sharing_strength")
        self._coupled_towers().coupling.strength.assign(value)

    def tower_distances(self) -> dict[str, pd.DataFrame]:
        """Tells how far apart the towers of soft sharing are.

        Returns:
            Euclidean distances between the tasks' slices of each coupled weight, as
            frames of tasks by tasks, by `"<layer>/<weight>"`.

        Raises:
            ValueError: If the model was not built with `kmtl.sharing.Soft`.
        """
        return self._coupled_towers().distances()

    def task_covariance(self) -> dict[str, pd.DataFrame]:
        """The covariance of the tasks that `kmtl.regularizers.TaskCovariance` implies.

        Returns:
            Frames of tasks by tasks with trace 1, by `"<layer>/<weight>"`.

        Raises:
            ValueError: If the towers have another regularizer.
        """
        return self._coupled_towers().covariances()

    def _coupled_towers(self) -> Towers:
        if self.towers is None:
            raise ValueError(
                "The model has no coupled towers; build it with "
                "`sharing=kmtl.sharing.Soft(...)`."
            )
        return self.towers

    def sharing_weights(
        self, x: Any = None, **arguments: Any
    ) -> dict[str, pd.DataFrame]:
        """Shows how the tasks share: gates, stitches, attention.

        Args:
            x: Inputs as for `predict`. What depends on them is averaged over their
                rows; for a single row pass one.
            **arguments: As for `predict`.

        Returns:
            One frame a layer, by its name; see the sharing for rows and columns.

        Raises:
            ValueError: If gates depend on the inputs and `x` is not given.
        """
        layers: list[Any] = [v for v in self.layers if isinstance(v, SharingWeights)]
        values = self._mean_outputs(
            [v for v in layers if v.depends_on_inputs], x, arguments
        )
        return {v.name: v.sharing_frame(values.get(v.name)) for v in layers}

    def _mean_outputs(
        self, layers: list[Any], x: Any, arguments: dict[str, Any]
    ) -> dict[str, np.ndarray]:
        """The outputs of layers by name, averaged over the rows, in one pass."""
        if not layers:
            return {}
        if x is None:
            raise ValueError(
                f"`x` is needed: the weights of {layers[0].name!r} depend on the "
                "inputs."
            )
        outputs = {layer.name: layer.output for layer in layers}
        view = keras.Model(self.named_inputs, outputs)  # inputs come by name
        values = view.predict(prepare_inputs(self, x), **{"verbose": 0, **arguments})
        return {k: np.asarray(v, "float64").mean(axis=0) for k, v in values.items()}
