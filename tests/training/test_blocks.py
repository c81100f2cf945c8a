"""Gradients that are too many to be held at once are taken by blocks of tasks."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from loops import Watch, one_step
from small import build, some_inputs

import kmtl
from kmtl._training import _blocks
from kmtl._training._blocks import block_size, gramian_in_blocks
from kmtl.sharing import Hard, MMoE

NAMES = [f"t{number}" for number in range(7)]
X = some_inputs(6)
Y = {
    name: np.random.default_rng(seed).integers(0, 2, 6).astype(float)
    for seed, name in enumerate(NAMES)
}


def test_two_blocks_have_room():
    assert block_size(100, 2**20) == 100
    assert block_size(256, 2**20) == 256
    assert block_size(257, 2**20) == 86  # 86 + 86 + 85
    assert block_size(3, 2**30) == 1


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6])
def test_blocks_give_the_whole_gramian(size):
    rows = np.random.default_rng(0).normal(size=(7, 4)).astype("float32")
    weights = np.random.default_rng(1).normal(size=(4, 9)).astype("float32")
    gramian = gramian_in_blocks(
        lambda block: [block @ weights, block], tf.constant(rows), size
    )
    jacobian = np.concatenate([rows @ weights, rows], axis=1)
    np.testing.assert_allclose(gramian, jacobian @ jacobian.T, rtol=1e-5, atol=1e-5)


def lstm(x):
    return keras.layers.LSTM(4)(keras.layers.Reshape((2, 2))(x))


def gramian(**options):
    tasks = [kmtl.BinaryTask(name) for name in NAMES]
    model = build(tasks, balancing=Watch(at="shared"), **options)
    model.compile(run_eagerly=False, jit_compile=False)
    return one_step(model, X, Y).gramian


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{"sharing": Hard()}, {"sharing": MMoE(experts=3)}, {"trunk": lstm}],
    ids=["Hard", "MMoE", "LSTM"],
)
def test_models_take_blocks(monkeypatch, options):
    expected = gramian(**options)
    monkeypatch.setattr(_blocks, "MOST", 500)
    np.testing.assert_allclose(gramian(**options), expected, rtol=1e-4, atol=1e-8)
