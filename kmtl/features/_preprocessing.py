"""The Keras model that turns raw columns into the encoded arrays."""

from collections.abc import Sequence

import keras
from keras import ops

from kmtl._typing import Tensor
from kmtl.features._calendar import CalendarParts
from kmtl.features._category_codes import CategoryCodes
from kmtl.features._columns import (
    BooleanColumn,
    CategoricalColumn,
    Column,
    DateColumn,
    NumericColumn,
    ScalarColumn,
    TextColumn,
)
from kmtl.features._number_codes import NumberCodes
from kmtl.features._standardize import StandardizeNumbers
from kmtl.features._tokens import TextTokens

Tensors = dict[str, Tensor]


def preprocessing_model(columns: Sequence[Column]) -> keras.Model:
    """Builds the model of `TabularFeatures.preprocessing_model`."""
    inputs = {c.name: _raw_input(c, position) for position, c in enumerate(columns)}
    encoded = {
        "numeric": _numeric(columns, inputs),
        "categorical": _categorical(columns, inputs),
        "text": _text(columns, inputs),
    }
    outputs = {key: value for key, value in encoded.items() if value is not None}
    return keras.Model(inputs, outputs, name="preprocessing")


def _raw_input(column: Column, position: int) -> keras.KerasTensor:
    raw = keras.Input((), dtype=column.serving_dtype, name=f"column_{position}")
    # Layer names allow no slash and TensorFlow's scopes no space; tensor names may be
    # anything, and Keras wants them equal to the keys of the inputs.
    raw.name = column.name
    return raw


def _numeric(columns: Sequence[Column], inputs: Tensors) -> Tensor | None:
    scalars = [c for c in columns if isinstance(c, ScalarColumn)]
    if not scalars:
        return None
    layer = StandardizeNumbers(
        centers=[c.center for c in scalars],
        scales=[c.scale for c in scalars],
        indicators=[i for i, c in enumerate(scalars) if c.indicator],
        booleans=[i for i, c in enumerate(scalars) if isinstance(c, BooleanColumn)],
        name="numeric",
    )
    return layer([inputs[c.name] for c in scalars])


def _categorical(columns: Sequence[Column], inputs: Tensors) -> Tensor | None:
    # A layer codes all its columns at once: an operation a column would take longer to
    # start than to run on the few rows of a request.
    categorical = [c for c in columns if isinstance(c, CategoricalColumn)]
    recurring = [c for c in columns if isinstance(c, NumericColumn) and c.values]
    dated = [c for c in columns if isinstance(c, DateColumn) and c.parts]
    codes = []
    if categorical:
        layer = CategoryCodes([c.vocabulary for c in categorical], name="categories")
        codes.append(layer([inputs[c.name] for c in categorical]))
    if recurring:
        layer = NumberCodes([c.values for c in recurring], name="recurring")
        codes.append(layer([inputs[c.name] for c in recurring]))
    if dated:
        layer = CalendarParts([c.parts for c in dated], name="calendar")
        codes.append(layer([inputs[c.name] for c in dated]))
    if len(codes) > 1:
        return ops.concatenate(codes, axis=1)
    return codes[0] if codes else None


def _text(columns: Sequence[Column], inputs: Tensors) -> Tensor | None:
    texts = [c for c in columns if isinstance(c, TextColumn)]
    if not texts:
        return None
    length = max(c.tokens for c in texts)
    codes = [TextTokens(c.vocabulary, c.tokens, length)(inputs[c.name]) for c in texts]
    return ops.stack(codes, axis=1)
