"""Balancing by gradients in mixed precision, in graphs and compiled by XLA."""

import functools

import keras
import numpy as np
import pytest
from loops import Watch, one_step
from small import some_inputs, some_labels

import kmtl
from kmtl.balancing import MGDA, UPGrad
from kmtl.sharing import Branched, Hard, MMoE

TASKS = [
    kmtl.BinaryTask("a", metrics=[]),
    kmtl.MulticlassTask("b", classes=3, metrics=[]),
    kmtl.BinaryTask("c", metrics=[]),
]
TRUNK = kmtl.trunks.MLP([8, 6], activation="tanh")
ROWS = 24
X, Y = some_inputs(ROWS), some_labels(TASKS, ROWS)
PLACES = pytest.mark.parametrize(
    "at", [pytest.param("representation", marks=pytest.mark.slow), "shared"]
)
SHARINGS = pytest.mark.parametrize(
    "sharing", [Hard(), MMoE(experts=3), Branched()], ids=repr
)


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16"])
def policy(request):
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


def model_by(method, *, optimizer=None, trunk=TRUNK, sharing=None, **settings):
    keras.utils.set_random_seed(0)
    model = kmtl.build_mtl_model(
        (4,),
        TASKS,
        trunk=trunk,
        sharing=sharing or Hard(),
        head_units=(6,),
        optimizer=optimizer or keras.optimizers.SGD(0.1),
        balancing=method,
    )
    model.compile(**{"jit_compile": False, **settings})
    return model


def trained(method, *, epochs=1, **options):
    """Takes four steps an epoch; returns the last logs and the weights."""
    model = model_by(method, **options)
    history = model.fit(X, Y, batch_size=6, epochs=epochs, verbose=0, shuffle=False)
    logs = {name: values[-1] for name, values in history.history.items()}
    return logs, model.get_weights()


@functools.cache  # for both policies
def gramian_in_float32(at, sharing):
    model = model_by(Watch(at=at), sharing=sharing, run_eagerly=True)
    return one_step(model, X, Y).gramian


@functools.cache
def loss_in_float32(at):
    logs, _ = trained(UPGrad(at=at), epochs=3)
    return logs["loss"]


def assert_same_training(some, others, **tolerance):
    for one, other in zip(some[1], others[1], strict=True):
        np.testing.assert_allclose(one, other, **tolerance)
    for name in ("loss", "a_weight", "b_weight", "c_weight", "gradient_cosine"):
        np.testing.assert_allclose(some[0][name], others[0][name], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@PLACES
@SHARINGS
def test_gramians_in_sixteen_bits_are_near_those_in_float32(policy, at, sharing):
    model = model_by(Watch(at=at), sharing=sharing, run_eagerly=True)
    narrow = one_step(model, X, Y).gramian
    keras.config.set_dtype_policy("float32")
    wide = gramian_in_float32(at, sharing)
    rtol = 0.01 if policy == "mixed_float16" else 0.05
    lengths = np.sqrt(np.diag(wide))
    scale = np.outer(lengths, lengths)
    np.testing.assert_allclose(narrow / scale, wide / scale, atol=rtol)


@PLACES
def test_long_gradients_in_float16_do_not_overflow_in_their_products(at):
    keras.config.set_dtype_policy("mixed_float16")
    # The largest float16 is 65,504: gradients of 300 have products above it.
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1), initial_scale=2.0**13
    )
    model = model_by(
        Watch(at=at), optimizer=optimizer, sharing=Branched(), run_eagerly=True
    )
    gramian = one_step(model, X, Y).gramian
    keras.config.set_dtype_policy("float32")
    assert np.isfinite(gramian).all()
    assert (np.diag(gramian) > 0).all()


@PLACES
def test_an_overflow_leaves_weights_and_state_as_they_were(at):
    keras.config.set_dtype_policy("mixed_float16")
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1), initial_scale=2.0**40
    )
    model = model_by(Watch(at=at), optimizer=optimizer, run_eagerly=True)
    before = model.get_weights()
    first = one_step(model, X, Y)
    assert all(weight == 1.0 for weight in model.task_weights.values())
    assert not first.gramian.any()
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    optimizer.dynamic_scale.assign(2.0**10)
    second = one_step(model, X, Y)
    keras.config.set_dtype_policy("float32")
    assert (np.diag(second.gramian) > 0).all()
    assert all(np.isfinite(part).all() for part in second.update)


@pytest.mark.slow
@PLACES
def test_a_graph_equals_eager_steps(at):
    eager = trained(Watch(at=at), run_eagerly=True)
    graph = trained(Watch(at=at), steps_per_execution=2)
    assert_same_training(graph, eager, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "sharing"),  # every pair of a method, a place and a sharing
    [
        (UPGrad(at="shared"), Hard()),
        (MGDA(at="representation"), Hard()),
        (MGDA(at="shared"), MMoE(experts=3)),
        (UPGrad(at="representation"), MMoE(experts=3)),
        (UPGrad(at="shared"), Branched()),
        (MGDA(at="representation"), Branched()),
    ],
    ids=repr,
)
def test_xla_equals_eager_steps(method, sharing):
    eager = trained(method, sharing=sharing, run_eagerly=True)
    compiled = trained(method, sharing=sharing, jit_compile=True)
    assert_same_training(compiled, eager, rtol=1e-3, atol=1e-5)


def recurrent(kind):
    def trunk(x):
        return getattr(keras.layers, kind)(4)(keras.layers.Reshape((2, 2))(x))

    return trunk


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "at", "every"),  # every pair
    [
        ("LSTM", "shared", 1),
        ("LSTM", "representation", 2),
        ("GRU", "shared", 2),
        ("GRU", "representation", 1),
    ],
)
def test_recurrent_trunks_train_in_graphs(kind, at, every):
    eager, graph, compiled = (
        trained(Watch(at=at, every=every), trunk=recurrent(kind), **settings)
        for settings in ({"run_eagerly": True}, {}, {"jit_compile": True})
    )
    assert_same_training(graph, eager, rtol=1e-4, atol=1e-6)
    assert_same_training(compiled, eager, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@PLACES
@pytest.mark.usefixtures("policy")
def test_mixed_precision_trains_in_graphs(at):
    logs, weights = trained(UPGrad(at=at), epochs=3)
    keras.config.set_dtype_policy("float32")
    assert all(np.isfinite(weight).all() for weight in weights)
    assert logs["loss"] == pytest.approx(loss_in_float32(at), rel=0.05)


@pytest.mark.parametrize("experts", [1, 3])
def test_batches_of_one_row_and_stacks_of_one_slice(experts):
    # TensorFlow gets the vectorised products of such matrices wrong, see issue 117700.
    sharing, trunk = MMoE(experts), kmtl.trunks.MLP([64, 64], activation="tanh")
    model, twin = (
        model_by(Watch(at=at), sharing=sharing, trunk=trunk, run_eagerly=True)
        for at in ("shared", "representation")
    )
    y = {name: labels[:1] for name, labels in Y.items()}
    update = one_step(model, X[:1], y).update
    for one, other in zip(update, one_step(twin, X[:1], y).update, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)
