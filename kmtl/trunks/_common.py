"""What `MLP` and `CNN` have in common: checks, normalisation, initialisers."""

import re
import zlib
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, Literal, TypeAlias

import keras

from kmtl._typing import Tensor

Activation: TypeAlias = str | Callable[[Tensor], Tensor]
Initializer: TypeAlias = str | keras.initializers.Initializer
Regularizer: TypeAlias = str | keras.regularizers.Regularizer | None
Normalization: TypeAlias = Literal["batch", "layer"] | None

# A layer name becomes a TensorFlow scope name, so slashes and spaces are not legal.
_LEGAL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def check_widths(widths: tuple[int, ...], subject: str, example: str) -> None:
    """Raises `ValueError` if a trunk would have no layer."""
    if not widths:
        raise ValueError(
            f"`{subject}` must name at least one width, as in `{example}`. "
            "Received: []. For no trunk at all pass `trunk=lambda x: x`."
        )


def check_activation(activation: Any) -> None:
    """Raises `ValueError` unless Keras knows the activation or it is a function."""
    if isinstance(activation, keras.layers.Layer):
        raise ValueError(
            "`activation` must be a name or a function: a layer would be shared by all "
            f"widths. Received: {activation!r}. Pass a name such as 'leaky_relu', or "
            "give a list of layers as the trunk."
        )
    _check_known(keras.activations.get, activation, "activation", "'relu'")


def check_dropout(dropout: Any) -> None:
    """Raises `ValueError` unless `dropout` is a rate from 0 to below 1."""
    is_number = isinstance(dropout, Real) and not isinstance(dropout, bool)
    if not is_number or not 0 <= dropout < 1:
        raise ValueError(
            "`dropout` must be the share of values to drop, at least 0 and below 1. "
            f"Received: {dropout!r}."
        )


def check_kernel(initializer: Any, regularizer: Any) -> None:
    """Raises `ValueError` unless Keras knows the initialiser and the regularizer."""
    _check_known(
        keras.initializers.get, initializer, "kernel_initializer", "'he_normal'"
    )
    _check_known(keras.regularizers.get, regularizer, "kernel_regularizer", "'l2'")


def check_name(name: Any) -> None:
    """Raises `ValueError` unless `name` may begin the name of a Keras layer."""
    if not isinstance(name, str) or not _LEGAL_NAME.fullmatch(name):
        raise ValueError(
            "`name` must consist of letters, digits, '_', '-' and '.', and begin with "
            f"a letter or digit. Received: {name!r}."
        )


def check_symbolic(x: Any, subject: str) -> None:
    """Raises `ValueError` unless `x` is a symbolic Keras tensor of numbers."""
    if not isinstance(x, keras.KerasTensor):
        raise ValueError(
            f"`{subject}` must be a symbolic tensor, as `keras.Input` makes it. "
            f"Received: {type(x).__name__}. To run a trunk on arrays, wrap it: "
            "`keras.Model(inputs, trunk(inputs))`."
        )
    if x.dtype == "string":
        raise ValueError(
            f"`{subject}` must hold numbers. Received: dtype=string. Encode text "
            "first, for instance with `keras.layers.StringLookup`."
        )


def only_tensor(x: Tensor | Mapping[str, Tensor]) -> Tensor:
    """Returns the tensor of a dict with one entry, and anything else as it is."""
    if isinstance(x, Mapping) and len(x) == 1:
        return next(iter(x.values()))
    return x


def draw_for(initializer: Initializer, layer_name: str) -> Initializer:
    """Returns an initialiser whose values differ from those of every other layer.

    A Keras initialiser keeps its seed, so that two layers of one shape which share an
    instance start with equal values. Layers therefore get copies: with the seed moved
    by the name of the layer where there is one, with a fresh seed where there is none.
    """
    initializer = keras.initializers.get(initializer)
    if not isinstance(initializer, keras.initializers.Initializer):
        return initializer  # a plain function (shape, dtype) -> values
    config = initializer.get_config()
    seed = config.get("seed")
    if isinstance(seed, int):
        config["seed"] = (seed + zlib.crc32(layer_name.encode())) % 2**31
    elif seed is not None:  # a SeedGenerator, which already moves on with each draw
        return initializer
    return type(initializer).from_config(config)


def _check_known(
    get: Callable[[Any], Any], value: Any, subject: str, name: str
) -> None:
    """Raises `ValueError` with the subject where Keras does not know the value."""
    try:
        get(value)
    except ValueError as error:
        raise ValueError(
            f"`{subject}` must be a name that Keras knows, such as {name}, or an "
            f"object of its kind. Received: {value!r}."
        ) from error
