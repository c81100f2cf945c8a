"""Numbers in their own units -> one block of standardised float32 channels."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kmtl._typing import Config, Tensor

LIMIT = 1e15
"""Standardised numbers end here, so that float32 holds them and their squares."""


@keras.saving.register_keras_serializable(package="kmtl")
class StandardizeNumbers(keras.layers.Layer):
    """Centres and scales columns in float64, then casts them to float32.

    Centring before the cast keeps the precision of large integers and of dates, which
    float32 cannot hold. What is not finite counts as missing: it becomes 0, the center.

    Args:
        centers: One a column, subtracted.
        scales: One a column, divided by.
        indicators: The positions of the columns that get an extra channel, 1.0 where
            the value is missing and 0.0 elsewhere; these follow all other channels.
        booleans: The positions of the columns that are truth values: below 0 they are
            missing.

    Call arguments:
        columns: One tensor of shape `(batch,)` a column, float64, or int64 for truth
            values.

    Returns:
        float32 tensor of shape `(batch, columns + indicators)`.

    Example:
        >>> import numpy as np
        >>> layer = StandardizeNumbers([10.0], [2.0], [0])
        >>> layer([np.array([14.0, np.nan])]).numpy().tolist()
        [[2.0, 0.0], [0.0, 1.0]]
    """

    def __init__(
        self,
        centers: Sequence[float],
        scales: Sequence[float],
        indicators: Sequence[int] = (),
        booleans: Sequence[int] = (),
        **kwargs: object,
    ) -> None:
        super().__init__(**{"autocast": False, "dtype": "float32", **kwargs})
        self.centers = [float(c) for c in centers]
        self.scales = [float(s) for s in scales]
        self.indicators = list(indicators)
        self.booleans = list(booleans)

    def call(self, columns: Sequence[Tensor]) -> Tensor:
        values = ops.stack([ops.cast(c, "float64") for c in columns], axis=1)
        known = self._known(values)
        centers = np.asarray(self.centers, np.float64)
        scales = np.asarray(self.scales, np.float64)
        standardized = ops.where(known, (values - centers) / scales, 0.0)
        numbers = ops.cast(ops.clip(standardized, -LIMIT, LIMIT), "float32")
        if not self.indicators:
            return numbers
        # `ops.take` has operations for indices from the end.
        missing = tf.gather(ops.logical_not(known), self.indicators, axis=1)
        return ops.concatenate([numbers, ops.cast(missing, "float32")], axis=1)

    def compute_output_spec(self, columns: Sequence[Tensor]) -> keras.KerasTensor:
        channels = len(columns) + len(self.indicators)
        return keras.KerasTensor((columns[0].shape[0], channels), dtype="float32")

    def get_config(self) -> Config:
        config = super().get_config()
        config.update(
            centers=self.centers,
            scales=self.scales,
            indicators=self.indicators,
            booleans=self.booleans,
        )
        return config

    def _known(self, values: Tensor) -> Tensor:
        finite = ops.isfinite(values)
        if not self.booleans:
            return finite
        lowest = np.full(len(self.centers), -np.inf)
        lowest[self.booleans] = 0.0
        return ops.logical_and(finite, values >= lowest)
