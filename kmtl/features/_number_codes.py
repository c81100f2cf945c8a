"""Numbers -> codes of the values that recur."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from kmtl._typing import Config, Tensor


@keras.saving.register_keras_serializable(package="kmtl")
class NumberCodes(keras.layers.Layer):
    """Looks numbers up among known values: 0 is missing, 1 any other number.

    The comparison is exact, in float64.

    Args:
        values: For each column its known values, strictly increasing; they get the
            codes from 2.

    Call arguments:
        columns: One float64 tensor of shape `(batch,)` a column, NaN for missing.

    Returns:
        List of int32 tensors of shape `(batch,)`, one a column.

    Example:
        >>> import numpy as np
        >>> layer = NumberCodes([[0.0, 40.0]])
        >>> layer([np.array([40.0, 39.0, np.nan])])[0].numpy().tolist()
        [3, 1, 0]
    """

    def __init__(self, values: Sequence[Sequence[float]], **kwargs: object) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        self.values = [[float(v) for v in known] for known in values]

    def call(self, columns: Sequence[Tensor]) -> list[Tensor]:
        return [
            _codes(np.asarray(known, np.float64), column)
            for known, column in zip(self.values, columns, strict=True)
        ]

    def get_config(self) -> Config:
        return {**super().get_config(), "values": self.values}


def _codes(known: Tensor, column: Tensor) -> Tensor:
    finite = ops.isfinite(column)
    numbers = ops.where(finite, column, 0.0)
    place = ops.minimum(ops.searchsorted(known, numbers), len(known) - 1)
    found = ops.equal(ops.take(known, place), numbers)
    code = ops.where(found, place + 2, 1)
    return ops.cast(ops.where(finite, code, 0), "int32")
