"""`at="shared"`: Gramian and update equal a loop of backward passes, one a task."""

import keras
import numpy as np
import pandas as pd
import pytest
from loops import Step, assert_same_step, loop, one_step, watched
from small import some_inputs, some_labels

import kmtl
from kmtl.sharing import (
    CGC,
    MTAN,
    PLE,
    AdaTT,
    Branched,
    CrossStitch,
    DSelectK,
    FiLM,
    LowLevel,
    MMoE,
    Sluice,
)

pytestmark = pytest.mark.usefixtures("in_float64")

L = keras.layers
TASKS = [
    kmtl.BinaryTask("a", metrics=[]),
    kmtl.MulticlassTask("b", classes=3, metrics=[]),
    kmtl.BinaryTask("c", metrics=[]),
]
NORMALIZED = {"normalization": "batch", "activation": "tanh"}
MLP = kmtl.trunks.MLP([8, 6], activation="tanh")
CNN = kmtl.trunks.CNN([4, 6], activation="tanh")
SLOW = pytest.mark.slow
ROWS = 7


def images(rows=ROWS):
    return np.random.default_rng(0).normal(size=(rows, 6, 6, 1))


ROWS_OR_IMAGES = [
    pytest.param(some_inputs(ROWS), id="MLP"),
    pytest.param(images(), id="CNN", marks=SLOW),
]


def sequences(rows=ROWS):
    return np.random.default_rng(0).normal(size=(rows, 5, 3))


def assert_equals_loop(x, *, own=(), **options):
    model = watched(TASKS, at="shared", inputs=x.shape[1:], **options)
    y = some_labels(TASKS, len(x))
    expected = loop(model, x, y, own=own)
    assert any(np.any(shared) for shared in expected.shared)
    step = one_step(model, x, y)
    assert_same_step(step, Step(expected.update(), expected.gramian()))
    return model


@pytest.mark.parametrize("head_units", [(), (5,)], ids=["plain", "hidden"])
def test_of_dense_layers(head_units):
    assert_equals_loop(some_inputs(ROWS), trunk=MLP, head_units=head_units)


def test_of_convolutions():
    assert_equals_loop(images(), trunk=CNN)


@pytest.mark.parametrize(
    ("x", "trunk"),
    [
        (some_inputs(ROWS), kmtl.trunks.MLP([8, 6], **NORMALIZED)),
        (images(), kmtl.trunks.CNN([4, 6], residual=True, **NORMALIZED)),
    ],
    ids=["MLP", "CNN"],
)
def test_of_batch_normalisation_which_takes_its_statistics_once(x, trunk):
    model = assert_equals_loop(x, trunk=trunk)
    twin = watched(TASKS, at="shared", inputs=x.shape[1:], trunk=trunk)
    twin(x, training=True)
    for ours, theirs in zip(
        model.encoder.non_trainable_weights,
        twin.encoder.non_trainable_weights,
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, err_msg=ours.path)


def test_of_the_dropout_masks_of_the_forward_pass():
    trunk = kmtl.trunks.MLP([16, 8], activation="tanh", dropout=0.5)
    assert_equals_loop(some_inputs(ROWS), trunk=trunk)


@pytest.mark.parametrize(
    "kind", ["LSTM", *(pytest.param(kind, marks=SLOW) for kind in ("GRU", "SimpleRNN"))]
)
def test_of_recurrent_layers(kind):
    assert_equals_loop(sequences(), trunk=getattr(L, kind)(4))


def test_of_attention():
    x = keras.Input((5, 3))
    attended = L.MultiHeadAttention(2, 3)(x, x)
    normalised = L.LayerNormalization()(L.Add()([x, attended]))
    trunk = keras.Model(x, L.GlobalAveragePooling1D()(normalised))
    assert_equals_loop(sequences(), trunk=trunk)


def test_of_the_embedding_tables_of_a_frame():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"colour": list("rgbrgbr"), "size": rng.normal(size=ROWS)})
    labels = some_labels(TASKS, ROWS)
    model = watched(
        TASKS,
        at="shared",
        inputs=frame.assign(**labels),
        features=kmtl.TabularFeatures.from_frame(frame),
        trunk=MLP,
    )
    encoded = model.features.encode(frame)
    expected = loop(model, encoded, labels)
    step = one_step(model, frame, labels)
    assert_same_step(step, Step(expected.update(), expected.gramian()))


SHARINGS = [
    MMoE(experts=3),
    PLE(),
    AdaTT(task_experts=2, shared_experts=1),
    CrossStitch(),
    Branched([["a", "c"], ["b"]], shared_stages=1),
]
MORE_SHARINGS = [
    DSelectK(experts=4, entropy=0.0),
    DSelectK(experts=4, entropy=0.0, per_example=True),
    CGC(shared_experts=2, task_experts=2),
    AdaTT(),
    Sluice(orthogonality=0.0),
    Branched(),
    Branched([["c", "b"], ["a"]], shared_stages=0),
    LowLevel({"b": 0}),
    FiLM(),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "sharing",
    [*SHARINGS, *(pytest.param(sharing, marks=SLOW) for sharing in MORE_SHARINGS)],
    ids=repr,
)
@pytest.mark.parametrize("x", ROWS_OR_IMAGES)
def test_of_every_sharing(x, sharing):
    trunk = MLP if x.ndim == 2 else CNN
    assert_equals_loop(x, trunk=trunk, sharing=sharing, head_units=(5,))


@pytest.mark.parametrize("x", ROWS_OR_IMAGES)
def test_of_the_trunk_under_attention_of_each_task(x):
    # Batch normalisation of the maps of all tasks lets the losses of others reach the
    # attention of a task through its statistics. It is the task's all the same.
    names = ["shared", "norm", "score", "score_norm"]
    own = [f"attention_0_{name}" for name in names]
    trunk = MLP if x.ndim == 2 else CNN
    assert_equals_loop(x, own=own, trunk=trunk, sharing=MTAN())
