"""What gates look at."""

from collections.abc import Mapping

import keras

from kmtl._checks import shorten
from kmtl._typing import Tensor
from kmtl.layers import ScaleImage
from kmtl.trunks import Inputs

_CELLS = 8
_AVERAGES = {
    3: (keras.layers.AveragePooling1D, keras.layers.GlobalAveragePooling1D),
    4: (keras.layers.AveragePooling2D, keras.layers.GlobalAveragePooling2D),
    5: (keras.layers.AveragePooling3D, keras.layers.GlobalAveragePooling3D),
}


def gate_inputs(inputs: Inputs) -> Tensor:
    """Turns the inputs of a model into one vector a row, for gates to look at.

    Rows of numbers stay as they are. Bytes are scaled to 0..1. Images and sequences are
    averaged in at most 8 cells along each axis (in one where a length is unknown) and
    flattened. Integers other than bytes are taken for ids and left out: a linear gate
    can do nothing with them.

    Args:
        inputs: A symbolic tensor, or a dict of them, whose vectors are joined.

    Returns:
        Symbolic tensor of shape `(batch, features)`.

    Raises:
        ValueError: If all inputs are integers, or one has more than 5 axes.
    """
    parts = inputs if isinstance(inputs, Mapping) else {"inputs": inputs}
    vectors = [_vector(x, name) for name, x in parts.items() if not _holds_ids(x)]
    if not vectors:
        raise ValueError(
            "Gates need an input of floats or bytes: integers are ids to them. "
            f"Received integers only: {shorten(parts)}. Take a sharing without gates, "
            "such as `kmtl.sharing.Hard()`, or add an input of floats."
        )
    if len(vectors) == 1:
        return vectors[0]
    return keras.layers.Concatenate(name="gate_inputs")(vectors)


def _holds_ids(x: Tensor) -> bool:
    return keras.backend.is_int_dtype(x.dtype) and x.dtype != "uint8"


def _vector(x: Tensor, name: str) -> Tensor:
    if x.dtype == "uint8":
        x = ScaleImage(name=f"gate_scale_{name}")(x)
    rank = len(x.shape)
    if rank == 2:
        return x
    if rank not in _AVERAGES:
        raise ValueError(
            f"Gates take inputs of 2 to 5 axes. Received: {name!r} of shape {x.shape}."
        )
    local, overall = _AVERAGES[rank]
    options = {"data_format": "channels_last", "name": f"gate_pool_{name}"}
    sizes = x.shape[1:-1]
    if None in sizes:
        return overall(**options)(x)
    cells = tuple(-(-size // _CELLS) for size in sizes)
    x = local(cells, padding="same", **options)(x)
    return keras.layers.Flatten(name=f"gate_flatten_{name}")(x)
