"""Numbers -> codes of the values that recur."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kmtl._typing import Config, Tensor
from kmtl.features._code_table import MISSING_CODE, UNKNOWN_CODE
from kmtl.features._columns import CODES_BEFORE_VOCABULARY

_SLACK = 4 * float(np.finfo(np.float64).eps)


@keras.saving.register_keras_serializable(package="kmtl")
class NumberCodes(keras.layers.Layer):
    """Looks numbers up among known values: 0 is missing, 1 any other number.

    The comparison is in float64, exact for whole numbers. Others match within 4 units
    in the last place: a server that reads JSON fast, as TensorFlow Serving does (its
    parser, RapidJSON, promises 3), would else miss what it was sent.

    Args:
        values: For each column its known values, strictly increasing; they get the
            codes from 2.

    Call arguments:
        columns: One float64 tensor of shape `(batch,)` a column, NaN for missing.

    Returns:
        int32 tensor of shape `(batch, columns)`.

    Example:
        >>> import numpy as np
        >>> layer = NumberCodes([[0.0, 40.0]])
        >>> layer([np.array([40.0, 39.0, np.nan])]).numpy().tolist()
        [[3], [1], [0]]
    """

    def __init__(self, values: Sequence[Sequence[float]], **kwargs: object) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        self.values = [[float(v) for v in known] for known in values]

    def call(self, columns: Sequence[Tensor]) -> Tensor:
        groups = self._groups()
        codes = [
            _codes(
                _padded([self.values[i] for i in group]),
                ops.stack([columns[i] for i in group]),
            )
            for group in groups
        ]
        places = np.argsort(np.concatenate(groups))
        return ops.transpose(tf.gather(ops.concatenate(codes), places))

    def compute_output_spec(self, columns: Sequence[Tensor]) -> keras.KerasTensor:
        return keras.KerasTensor((columns[0].shape[0], len(columns)), dtype="int32")

    def get_config(self) -> Config:
        return {**super().get_config(), "values": self.values}

    def _groups(self) -> list[list[int]]:
        """Puts columns that are searched together in a group: nearly always in one.

        They are padded to one length, so a group holds up to 256 values a column, up to
        4,096 and so on: as many hexadecimal digits as the last position has.
        """
        groups: dict[int, list[int]] = {}
        for position, known in enumerate(self.values):
            digits = len(f"{len(known) - 1:x}")
            groups.setdefault(max(digits, 2), []).append(position)
        return list(groups.values())


def _padded(values: Sequence[Sequence[float]]) -> np.ndarray[Any, Any]:
    """Makes rows of one length; at their end is infinity, which no number equals."""
    rows = np.full((len(values), max(map(len, values))), np.inf)
    for row, known in zip(rows, values, strict=True):
        row[: len(known)] = known
    return rows


def _codes(known: Tensor, numbers: Tensor) -> Tensor:
    """Codes of numbers `(columns, batch)` among known values `(columns, values)`."""
    finite = ops.isfinite(numbers)
    numbers = ops.where(finite, numbers, 0.0)
    whole = ops.equal(numbers, ops.floor(numbers))
    slack = ops.where(whole, 0.0, _SLACK * ops.abs(numbers))
    # `ops.searchsorted` takes one sequence only, and `ops.take` costs operations for
    # indices from the end.
    place = ops.minimum(tf.searchsorted(known, numbers - slack), known.shape[1] - 1)
    found = ops.abs(tf.gather(known, place, batch_dims=1) - numbers) <= slack
    code = ops.where(found, place + CODES_BEFORE_VOCABULARY, UNKNOWN_CODE)
    return ops.where(finite, code, MISSING_CODE)
