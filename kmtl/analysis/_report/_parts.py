"""What the user calls data -> named parts with encoded labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd

from kmtl._prepare import encoded_columns
from kmtl.model import MTLModel


@dataclass(frozen=True)
class Part:
    """Rows of one kind, such as those to test on.

    Attributes:
        name: What the user calls them.
        x: The inputs.
        y: The labels by task name, or `None` where they are columns of the frame.
        labels: Encoded labels by task name, `(rows, ...)`, NaN where missing.
        rows: How many rows there are.
    """

    name: str
    x: Any
    y: Any
    labels: Mapping[str, np.ndarray]
    rows: int

    def sample(self, count: int) -> "Part":
        """At most so many rows, evenly spread."""
        if self.rows <= count:
            return self
        places = np.linspace(0, self.rows - 1, count).astype(int)
        return Part(
            self.name,
            _take(self.x, places),
            _take(self.y, places),
            {name: values[places] for name, values in self.labels.items()},
            count,
        )


def read_parts(model: MTLModel, data: Any) -> list[Part]:
    """Returns the parts of the data, in the order given.

    Raises:
        TypeError: If the data is neither a frame, nor `(x, y)`, nor a dict of those.
        ValueError: If it is empty.
    """
    parts = data if isinstance(data, Mapping) else {"data": data}
    if not parts:
        raise ValueError("`data` must hold at least one part. Received: {}.")
    return [_read_part(model, str(name), rows) for name, rows in parts.items()]


def _read_part(model: MTLModel, name: str, data: Any) -> Part:
    if isinstance(data, pd.DataFrame):
        x, y = data, None
    elif isinstance(data, (tuple, list)) and len(data) == 2:
        x, y = data
    else:
        raise TypeError(
            "`data` must be a DataFrame, (x, y), or a dict of those by name, such as "
            "{'train': train, 'test': test}; of a file or a dataset pass some rows as "
            f"a frame or arrays. Received: {type(data).__name__} for {name!r}."
        )
    encoded = encoded_columns(model, x, y)
    labels = dict(zip(model.task_names, encoded, strict=True))
    rows = len(next(iter(labels.values())))
    if not rows:
        raise ValueError(f"`data` must have rows. Received: none in part {name!r}.")
    return Part(name, x, y, labels, rows)


def _take(data: Any, places: np.ndarray) -> Any:
    """Takes rows of frames, arrays, lists and dicts of those."""
    if data is None:
        return None
    if isinstance(data, (pd.DataFrame, pd.Series)):
        return data.iloc[places]
    if isinstance(data, Mapping):
        return {name: _take(values, places) for name, values in data.items()}
    if isinstance(data, (list, tuple)):
        return [data[i] for i in places]
    return keras.ops.convert_to_numpy(data)[places]
