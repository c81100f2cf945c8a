"""What tests of adding and removing tasks share."""

import keras
import numpy as np
import pytest
from small import build, some_inputs, some_labels, some_tasks

import kmtl
from kmtl import sharing

X = some_inputs()
Y = some_labels(some_tasks())
NEW = {"new": some_labels([kmtl.BinaryTask("new")], seed=7)["new"]}
IMAGES = np.random.default_rng(0).normal(size=(6, 8, 8, 1)).astype("float32")
SHARINGS = {
    "Branched": sharing.Branched(),
    "CGC": sharing.CGC(),
    "CrossStitch": sharing.CrossStitch(),
    "DSelectK": sharing.DSelectK(experts=4),
    "FiLM": sharing.FiLM(),
    "Hard": sharing.Hard(),
    "LowLevel": sharing.LowLevel(stages={"click": 0}),
    "MMoE": sharing.MMoE(experts=3),
    "MTAN": sharing.MTAN(),
    "Sluice": sharing.Sluice(),
    "Soft": sharing.Soft(),
}
# Gates over the experts of all tasks have no place for another one.
CLOSED = {"AdaTT": sharing.AdaTT(), "PLE": sharing.PLE()}
# Those of the default suite; the others are slow tests.
QUICK = ("Hard",)
ALL = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in SHARINGS
]
TRUNK = kmtl.trunks.MLP([8, 6], activation="tanh", normalization="batch")


def model_of(name="Hard", tasks=None, **options):
    options = {"optimizer": keras.optimizers.Adam(0.05), "trunk": TRUNK, **options}
    options.setdefault("sharing", {**SHARINGS, **CLOSED}[name])
    return build(some_tasks() if tasks is None else tasks, **options)


def generic_trunk():
    """A Keras model with batch normalisation and dropout."""
    layers = keras.layers
    x = keras.Input((4,))
    inner = layers.Dropout(0.3)(layers.BatchNormalization()(layers.Dense(6)(x)))
    return keras.Model(x, layers.Dense(5, activation="tanh")(inner))


def new_task(**options):
    return kmtl.BinaryTask("new", **options)


def slot(model, name):
    """What the optimizer keeps for a weight."""
    found = [v for v in model.optimizer.variables if v.path.endswith(f"/{name}")]
    return found[0].numpy()


def assert_kept(model, changed, x=X):
    """The tasks that both models have predict the same, to the last bit."""
    before, after = model(x), changed(x)
    both = [name for name in after if name in before]
    assert both
    for name in both:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)


def assert_same_state(model, other):
    for mine, theirs in zip(model.variables, other.variables, strict=True):
        np.testing.assert_array_equal(mine, theirs, err_msg=mine.path)
    mine, theirs = model.optimizer.variables, other.optimizer.variables
    for one, two in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one, two, err_msg=one.path)
