"""The two ends of soft sharing, on real records."""

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

import kmtl

DATA = Path(__file__).parents[2] / "examples" / "data" / "census_income"
TASKS = [
    kmtl.BinaryTask("income", label="income_50k", positive="50000+."),
    kmtl.RegressionTask("age"),
]
TRUNK = kmtl.trunks.MLP([32, 16], activation="tanh")
KERNELS = ["trunk_dense_0", "trunk_dense_1"]


@pytest.fixture(scope="module")
def people():
    names = (DATA / "columns.txt").read_text().split()
    file = DATA / "census-income.data.xz"
    return pd.read_csv(file, names=names, skipinitialspace=True, nrows=3000)


@pytest.fixture(scope="module")
def features(people):
    return kmtl.TabularFeatures.from_frame(people, exclude=["income_50k", "age"])


def build(people, features, tasks, sharing=None):
    keras.utils.set_random_seed(0)
    return kmtl.build_mtl_model(
        people,
        tasks,
        features=features,
        trunk=TRUNK,
        sharing=sharing,
        optimizer=keras.optimizers.SGD(0.05),
    )


def fit(model, people):
    model.fit(people, epochs=2, batch_size=300, shuffle=False, verbose=0)


def encoding(model):
    """The layer that encodes the table: the one part that towers share."""
    kind = kmtl.layers.TabularEmbedding
    return next(layer for layer in model.layers if isinstance(layer, kind))


def copy_tower(model, alone, index):
    """Gives a model of one task the encoding and one tower of a model of several."""
    encoding(alone).set_weights(encoding(model).get_weights())
    for name in KERNELS:
        stacked = model.get_layer(name).get_weights()
        alone.get_layer(name).set_weights([weight[index] for weight in stacked])


def freeze_encoding(model):
    encoding(model).trainable = False
    model.compile()


@pytest.mark.slow
def test_strength_zero_equals_independent_models(people, features):
    model = build(
        people, features, TASKS, kmtl.sharing.Soft(kmtl.regularizers.MeanL2(0))
    )
    freeze_encoding(model)
    models = []
    for index, task in enumerate(TASKS):
        alone = build(people, features, [task])
        copy_tower(model, alone, index)
        freeze_encoding(alone)
        fit(alone, people)
        models.append(alone)
    fit(model, people)
    together = model.predict(people, verbose=0)
    for alone in models:
        ((name, expected),) = alone.predict(people, verbose=0).items()
        np.testing.assert_allclose(together[name], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_large_strength_keeps_towers_equal(people, features):
    spreads = {}
    for strength in (0.0, 9.0):  # times the learning rate, below what SGD can take
        how = kmtl.sharing.Soft(kmtl.regularizers.MeanL2(strength))
        model = build(people, features, TASKS, how)
        fit(model, people)
        frames = model.tower_distances().values()
        spreads[strength] = max(frame.to_numpy().max() for frame in frames)
    assert spreads[9.0] < spreads[0.0] / 20
    how = kmtl.sharing.Soft(kmtl.regularizers.MeanL2(1e6), proximal=True)
    model = build(people, features, TASKS, how)
    fit(model, people)
    frames = model.tower_distances().values()
    assert max(frame.to_numpy().max() for frame in frames) < 1e-5
