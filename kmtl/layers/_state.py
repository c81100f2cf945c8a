"""Variables of a layer that are not trained."""

from typing import Any

import keras
import numpy as np
from keras import ops


def add_state(
    layer: keras.layers.Layer,
    name: str,
    values: Any,
    *,
    dtype: str | None = None,
    aggregation: str = "none",
) -> Any:
    """Gives a layer a variable that is not trained.

    Args:
        layer: The layer.
        name: The name of the variable.
        values: What it starts with, an array or nested lists.
        dtype: Its dtype; that of the layer's weights by default.
        aggregation: What replicas do with its values, see `keras.Variable`.

    Returns:
        The variable.
    """
    return layer.add_weight(
        name=name,
        shape=np.shape(values),
        initializer=lambda _, dtype: ops.convert_to_tensor(values, dtype=dtype),
        dtype=dtype,
        trainable=False,
        aggregation=aggregation,
    )
