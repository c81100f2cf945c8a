"""The contract of layers whose weights tell how tasks share."""

import abc
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import pandas as pd


class SharingWeights(abc.ABC):
    """A layer whose gates, stitches or attention can be looked at.

    `model.sharing_weights(x)` finds such layers and shows their frames.

    Attributes:
        depends_on_inputs: Whether the weights are the layer's output, as those of gates
            are; else they are constants, such as stitches.
    """

    depends_on_inputs: ClassVar[bool] = True

    @abc.abstractmethod
    def sharing_frame(self, values: np.ndarray | None) -> pd.DataFrame:
        """Puts names to the weights.

        Args:
            values: The output of the layer, averaged over the rows of a batch and
                without their axis; `None` where nothing depends on the inputs.

        Returns:
            A row for each task that receives, by name; a column for each expert, task
            or layer that it receives from.
        """


def named_frame(
    values: Any, rows: Iterable[str], columns: Iterable[str]
) -> pd.DataFrame:
    """Makes a frame of slices by slices; `"/0"`, of no task, is shown as `"shared/0"`.

    Args:
        values: Numbers of shape `(rows, columns)`.
        rows: Names of slices.
        columns: Names of slices.
    """
    return pd.DataFrame(values, index=_shown(rows), columns=_shown(columns))


def _shown(names: Iterable[str]) -> list[str]:
    return [f"shared{name}" if name.startswith("/") else name for name in names]
