"""Heads that see other tasks: labels in training, predictions everywhere else."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from small import (
    FEATURES,
    build,
    evaluate,
    some_inputs,
    some_labels,
)

import kmtl

ROWS, UNITS = 24, 8
X = some_inputs(ROWS)
PAIR = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b", condition_on="a")]
LABELS = some_labels(PAIR)


def own_head():
    return [keras.layers.Dense(3, activation="tanh"), keras.layers.Dense(1)]


def chained(**options):
    """`buy` sees a task of each kind, and `pay` sees `buy`."""
    return [
        kmtl.BinaryTask("pay", condition_on="buy", **options),
        kmtl.BinaryTask("click", **options),
        kmtl.MulticlassTask("colour", classes=3, **options),
        kmtl.RegressionTask("price", standardize=False, **options),
        kmtl.BinaryTask("buy", condition_on=["price", "click", "colour"], **options),
    ]


@pytest.fixture(scope="module")
def model():
    return build(chained())


def logits_of(model, given):
    """Logits by task name for a given row of labels, of `click, colour, price, buy`."""
    given = tf.constant(given, "float32", shape=(1, 4)) * tf.ones((ROWS, 1))
    stacked = model.heads([model.encoder(X), given])
    groups = model.outputs_layer.groups
    return {
        model.tasks[index].name: np.array(logits)[:, position]
        for group, logits in zip(groups, stacked, strict=True)
        for position, index in enumerate(group.indices)
    }


def changed(before, after):
    return {name for name in before if np.any(before[name] != after[name])}


NOTHING = [np.nan] * 4


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([1, np.nan, np.nan, np.nan], {"buy", "pay"}),
        ([np.nan, 2, np.nan, np.nan], {"buy", "pay"}),
        ([np.nan, np.nan, 0.3, np.nan], {"buy", "pay"}),
        ([np.nan, np.nan, np.nan, 0], {"pay"}),
    ],
)
def test_a_label_changes_what_is_below_it_and_nothing_else(model, given, expected):
    assert changed(logits_of(model, NOTHING), logits_of(model, given)) == expected


def test_without_labels_the_head_sees_predictions(model):
    outputs = model.predict(X, verbose=0)
    kernel, bias = (np.array(w)[0] for w in _last_layer(model, "buy").weights)
    signals = [outputs[name] for name in ("price", "click", "colour")]
    seen = np.concatenate([model.encoder(X), *signals], axis=1)
    expected = 1 / (1 + np.exp(-(seen @ kernel + bias)))
    np.testing.assert_allclose(outputs["buy"], expected, rtol=1e-4)


def test_with_labels_the_head_sees_labels(model):
    kernel, bias = (np.array(w)[0] for w in _last_layer(model, "buy").weights)
    signals = np.tile([[0.3, 1.0, 0.0, 0.0, 1.0]], (ROWS, 1))  # price, click, colour
    seen = np.concatenate([model.encoder(X), signals], axis=1)
    logits = logits_of(model, [1, 2, 0.3, np.nan])["buy"]
    np.testing.assert_allclose(logits, seen @ kernel + bias, rtol=1e-4, atol=1e-6)


def _last_layer(model, task):
    layers = [v for v in model.layers if isinstance(v, kmtl.layers.TaskDense)]
    return next(layer for layer in layers if task in layer.tasks)


@pytest.fixture(scope="module")
def built_pair():
    return build(PAIR)


@pytest.fixture
def pair(built_pair):
    """`b` sees `a`; every test starts with the same weights."""
    start = built_pair.get_weights()
    yield built_pair
    built_pair.set_weights(start)


def stepped(model, y):
    """Takes one step from the present weights; returns its loss of `b`, new weights."""
    start = model.get_weights()
    model.reset_metrics()
    loss = model.train_on_batch(X, y, return_dict=True)["b_loss"]
    weights = model.get_weights()
    model.set_weights(start)
    return loss, weights


def test_a_training_step_uses_labels_and_a_test_step_does_not(pair):
    y, others = LABELS, {**LABELS, "a": 1 - LABELS["a"]}
    losses = [evaluate(pair, X, labels)["b_loss"] for labels in (y, others)]
    assert losses[0] == losses[1]
    assert stepped(pair, y)[0] != stepped(pair, others)[0]


def test_a_missing_label_of_a_parent_is_replaced_by_its_prediction(pair):
    y = {"b": LABELS["b"]}
    expected = evaluate(pair, X, y)["b_loss"]
    assert stepped(pair, y)[0] == pytest.approx(expected, 1e-6)


def test_neither_loss_nor_label_of_a_child_reaches_the_head_of_a_parent(pair):
    position = [v.path for v in pair.variables].index("head_0_out/kernel")
    start = pair.get_weights()[position]
    _, alone = stepped(pair, {"b": LABELS["b"]})
    np.testing.assert_array_equal(alone[position], start)
    _, one = stepped(pair, LABELS)
    _, other = stepped(pair, {**LABELS, "b": 1 - LABELS["b"]})
    np.testing.assert_array_equal(one[position], other[position])
    assert np.any(one[position] != start)


def test_the_order_of_tasks_changes_nothing(model):
    reordered = build(chained()[::-1])
    outputs, others = model.predict(X, verbose=0), reordered.predict(X, verbose=0)
    for name, values in outputs.items():
        np.testing.assert_allclose(others[name], values, rtol=1e-5)
    before, after = (logits_of(m, NOTHING) for m in (model, reordered))
    assert list(before) != list(after)


def test_tasks_with_the_same_parents_run_as_one_stack():
    tasks = [kmtl.BinaryTask("a")] + [
        kmtl.BinaryTask(name, condition_on="a") for name in "bcd"
    ]
    groups = build(tasks).outputs_layer.groups
    assert [group.indices for group in groups] == [(0,), (1, 2, 3)]


def test_a_model_of_conditions_comes_back_from_a_file(model, tmp_path):
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.tasks == model.tasks
    before, after = (logits_of(m, [1, 2, 0.3, 0]) for m in (model, loaded))
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)


@pytest.mark.slow
def test_labels_are_no_input_of_a_model(model, tmp_path):
    assert model.input.shape == (None, FEATURES)
    path = kmtl.export_saved_model(model, tmp_path)
    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    assert set(serve.structured_input_signature[1]) == {"inputs"}
    served = serve(inputs=tf.constant(X))
    for name, values in model.predict(X, verbose=0).items():
        np.testing.assert_allclose(served[name], values, rtol=1e-5, atol=1e-6)


def test_a_head_of_its_own_sees_the_condition():
    tasks = [
        kmtl.BinaryTask("a"),
        kmtl.BinaryTask("b", condition_on="a", head=own_head()),
    ]
    model = build(tasks)
    assert model.get_layer("head_1_condition").output.shape == (None, UNITS + 1)
    assert model.output["b"].shape == (None, 1)


def test_a_child_of_a_head_of_its_own():
    tasks = [
        kmtl.BinaryTask("a", head=own_head()),
        kmtl.BinaryTask("b", condition_on="a"),
    ]
    model = build(tasks)
    model.train_on_batch(X, some_labels(tasks))
    assert np.isfinite(model(X)["b"]).all()


def test_conditions_on_a_representation_a_task():
    def per_task(trunk, inputs, tasks):
        return keras.ops.stack([trunk(inputs)] * len(tasks), axis=-2)

    model = build(chained(), sharing=per_task)
    assert model.get_layer("head_4_condition").output.shape == (None, 1, UNITS + 5)
    assert np.isfinite(model(X)["pay"]).all()


def test_an_auxiliary_parent_is_still_seen():
    tasks = [
        kmtl.AuxiliaryTask(kmtl.BinaryTask("a")),
        kmtl.BinaryTask("b", condition_on="a"),
    ]
    model = build(tasks)
    model.train_on_batch(X, some_labels(tasks))
    assert list(model(X)) == ["b"]


def test_standardised_labels_are_seen_standardised():
    tasks = [kmtl.RegressionTask("a"), kmtl.BinaryTask("b", condition_on="a")]
    model, y = build(tasks), some_labels(tasks)
    losses = []
    for labels in (y, {**y, "a": 1e6 * y["a"] + 7}):
        model.adapt_labels(labels)
        losses.append(stepped(model, labels)[0])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_freezing_a_child_with_a_head_of_its_own_leaves_its_parents_free():
    tasks = [
        kmtl.BinaryTask("a", head=keras.layers.Dense(1)),
        kmtl.BinaryTask("b"),
        kmtl.BinaryTask("c", condition_on=["a", "b"], head=keras.layers.Dense(1)),
    ]
    model = build(tasks)
    model.set_trainable("c", False)
    before = {v.path: v.numpy() for v in model.trainable_variables}
    model.train_on_batch(X, some_labels(tasks))
    moved = {v.path for v in model.trainable_variables if np.any(v != before[v.path])}
    frozen = {v.path for v in tasks[2].head.variables}
    assert set(before) - moved == frozen


@pytest.mark.slow
def test_a_chain_learns_what_independent_heads_cannot():
    # Each label is a fair coin given x, the second is the exclusive or of it and x.
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], (4000, 1))
    a = rng.integers(0, 2, 4000)
    y = {"a": a, "b": (a + (x[:, 0] > 0)) % 2}
    losses = {}
    for condition_on in ((), "a"):
        tasks = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b", condition_on=condition_on)]
        keras.utils.set_random_seed(0)
        options = {"head_units": (16,), "optimizer": keras.optimizers.Adam(0.02)}
        model = kmtl.build_mtl_model((1,), tasks, **options)
        history = model.fit(x, y, epochs=6, batch_size=100, verbose=0).history
        losses[condition_on] = history["b_loss"][-1]
    assert losses[()] == pytest.approx(np.log(2), abs=0.01)
    assert losses["a"] < 0.1


@pytest.mark.slow
def test_with_independent_labels_a_chain_is_as_good_as_independent_heads():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, FEATURES))
    draws = rng.uniform(size=(2, 4000)) < 1 / (1 + np.exp(-x[:, :2].T))
    y = dict(zip("ab", draws.astype(float), strict=True))
    losses = []
    for condition_on in ((), "a"):
        tasks = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b", condition_on=condition_on)]
        keras.utils.set_random_seed(0)
        options = {
            "trunk": kmtl.trunks.MLP([8]),
            "optimizer": keras.optimizers.Adam(0.01),
        }
        model = kmtl.build_mtl_model((FEATURES,), tasks, **options)
        y_train = {k: v[:3000] for k, v in y.items()}
        model.fit(x[:3000], y_train, epochs=6, batch_size=100, verbose=0)
        y_test = {k: v[3000:] for k, v in y.items()}
        losses.append(evaluate(model, x[3000:], y_test)["b_loss"])
    assert losses[0] == pytest.approx(losses[1], abs=0.01)


def with_condition(name, condition_on):
    return [
        dataclasses.replace(task, condition_on=condition_on)
        if task.name == name
        else task
        for task in chained()
    ]


@pytest.mark.parametrize(
    ("name", "condition_on", "message"),
    [
        (
            "click",
            "clock",
            r"`condition_on of task 'click'` .* Received: 'clock'\. Did",
        ),
        ("click", "click", r"Received: 'click' -> 'click'\."),
        ("price", "pay", r"Received: .*'price' -> 'buy' -> 'pay'"),
        ("click", ["buy", "buy"], r"must be unique\. Repeated: \['buy'\]"),
        ("click", 3, r"must be a list\. Received: 3"),
    ],
)
def test_wrong_conditions_are_errors(name, condition_on, message):
    with pytest.raises(ValueError, match=message):
        build(with_condition(name, condition_on))


def test_a_parent_has_one_label_a_row():
    head = keras.layers.Dense(2)
    tasks = [
        kmtl.RegressionTask("a", head=head, standardize=False),
        kmtl.BinaryTask("b", condition_on="a"),
    ]
    with pytest.raises(
        ValueError, match=r"one label a row\. Received: 'a', .* \(None, 2"
    ):
        build(tasks)
