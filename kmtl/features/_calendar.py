"""Seconds since 1970 -> month, weekday and hour codes."""

from collections.abc import Sequence

import keras
import tensorflow as tf
from keras import ops

from kmtl._typing import Config, Tensor
from kmtl.features._columns import DATE_PARTS

SECONDS_A_DAY = 86_400
SECONDS_AN_HOUR = 3_600


@keras.saving.register_keras_serializable(package="kmtl")
class CalendarParts(keras.layers.Layer):
    """Codes of calendar parts: 0 for a missing date, else 1 plus the part from 0.

    January, Monday and midnight are part 0, code 1.

    Args:
        parts: For each input column the parts wanted of it, of "month", "weekday" and
            "hour".

    Call arguments:
        columns: One float64 tensor of shape `(batch,)` a column: seconds since
            1970-01-01 00:00, NaN if missing.

    Returns:
        int32 tensor of shape `(batch, parts)`: the parts of the first column, then of
        the next.

    Example:
        >>> import numpy as np
        >>> monday_noon = 4 * 86_400.0 + 12 * 3_600.0  # 5 January 1970
        >>> layer = CalendarParts([["month", "weekday", "hour"]])
        >>> layer([np.array([monday_noon])]).numpy().tolist()
        [[1, 1, 13]]

    Reference:
        Month of a day number: Hinnant, "chrono-Compatible Low-Level Date Algorithms",
        `civil_from_days`, https://howardhinnant.github.io/date_algorithms.html
    """

    def __init__(self, parts: Sequence[Sequence[str]], **kwargs: object) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        self.parts = [list(p) for p in parts]

    def call(self, columns: Sequence[Tensor]) -> Tensor:
        seconds = ops.stack(columns, axis=1)
        known = ops.isfinite(seconds)
        values = calendar_parts(ops.where(known, seconds, 0.0))
        codes = [ops.where(known, value + 1, 0) for value in values.values()]
        by_part = ops.cast(ops.concatenate(codes, axis=1), "int32")
        return tf.gather(by_part, self._positions(), axis=1)

    def compute_output_spec(self, columns: Sequence[Tensor]) -> keras.KerasTensor:
        shape = (columns[0].shape[0], sum(map(len, self.parts)))
        return keras.KerasTensor(shape, dtype="int32")

    def get_config(self) -> Config:
        return {**super().get_config(), "parts": self.parts}

    def _positions(self) -> list[int]:
        """Where the parts wanted are, if all columns of a part stand side by side."""
        rows = list(DATE_PARTS)
        return [
            rows.index(part) * len(self.parts) + column
            for column, wanted in enumerate(self.parts)
            for part in wanted
        ]


def calendar_parts(seconds: Tensor) -> dict[str, Tensor]:
    """Splits seconds since 1970 into month, weekday and hour, each from 0.

    Args:
        seconds: float64, finite.

    Returns:
        int64 tensors of the same shape, keyed like `DATE_PARTS`.
    """
    whole = ops.cast(ops.floor(seconds), "int64")
    days = ops.floor_divide(whole, SECONDS_A_DAY)
    of_day = whole - days * SECONDS_A_DAY
    parts = {
        "month": _month(days),
        "weekday": ops.mod(days + 3, 7),  # 1970-01-01 was a Thursday
        "hour": ops.floor_divide(of_day, SECONDS_AN_HOUR),
    }
    return {name: parts[name] for name in DATE_PARTS}


def _month(days: Tensor) -> Tensor:
    day_of_era = ops.mod(days + 719_468, 146_097)  # 400 years from a 1st of March
    year_of_era = ops.floor_divide(
        day_of_era
        - ops.floor_divide(day_of_era, 1_460)
        + ops.floor_divide(day_of_era, 36_524)
        - ops.floor_divide(day_of_era, 146_096),
        365,
    )
    leap_days = ops.floor_divide(year_of_era, 4) - ops.floor_divide(year_of_era, 100)
    day_of_year = day_of_era - (365 * year_of_era + leap_days)
    from_march = ops.floor_divide(5 * day_of_year + 2, 153)
    return ops.mod(from_march + 2, 12)
