"""What a comparison in a folder depends on is told apart, and nothing else."""

from functools import partial

import keras
import numpy as np
import pytest

import kmtl
from kmtl.analysis._settings import _text


def function_of(units):
    def build(width=units):
        return [keras.layers.Dense(width) for _ in "ab"]

    return build


def function_around(units):
    def inner():
        return units

    return lambda: (inner(), units)


def recursive(units):
    def count(steps):
        return count(steps - units) if steps else 0

    return count


def trained(units):
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    layer.set_weights([np.full((3, 2), units), np.zeros(2)])
    return layer


@pytest.mark.parametrize(
    "build_with",
    [
        keras.layers.Dense,
        lambda units: [keras.layers.Dense(units), keras.layers.Dropout(0.1)],
        lambda units: kmtl.sharing.Soft(kmtl.regularizers.MeanL2(units)),
        lambda units: kmtl.RegressionTask("a", loss=kmtl.losses.Pinball(1 / units)),
        lambda units: kmtl.RegressionTask("a", loss=keras.losses.Huber(units)),
        lambda units: kmtl.BinaryTask("a", metrics=[keras.metrics.AUC(units)]),
        lambda units: kmtl.BinaryTask("a", metrics=[function_around(units)]),
        lambda units: keras.optimizers.SGD(1 / units),
        trained,
        lambda units: keras.Sequential([trained(units)]),
        function_of,
        function_around,
        recursive,
        lambda units: partial(function_of, units),
        lambda units: np.full(5000, units),
        lambda units: {"a": {units, "b", "c"}},
    ],
)
def test_settings_are_told_apart_and_counted_names_are_not(build_with):
    assert _text(build_with(4)) == _text(build_with(4))
    assert _text(build_with(4)) != _text(build_with(5))


def test_functions_of_one_name_are_told_apart_by_their_code_not_their_place():
    sources = ["def f(x): return x + 1", "\n\ndef f(x): return x + 1", "def f(x): pass"]
    spaces = [{"__name__": "mine"} for _ in sources]
    for source, space in zip(sources, spaces, strict=True):
        exec(source, space)
    first, moved, changed = (_text(space["f"]) for space in spaces)
    assert first == moved
    assert first != changed
