"""`only_if` and `ProductTask`: conversions learned on the entire space (ESMM)."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from small import FEATURES, build, evaluate, fit, some_inputs

import kmtl

ROWS = 24
X = some_inputs(ROWS)
RNG = np.random.default_rng(0)
CLICK = RNG.integers(0, 2, ROWS).astype(float)
BUY = CLICK * RNG.integers(0, 2, ROWS)
Y = {"ctr": CLICK, "cvr": BUY, "ctcvr": BUY}


def esmm():
    return [
        kmtl.BinaryTask("ctr", label="click"),
        kmtl.BinaryTask("cvr", label="buy", only_if="ctr", loss_weight=0.0),
        kmtl.ProductTask("ctcvr", ["ctr", "cvr"], label="buy"),
    ]


@pytest.fixture(scope="module")
def model():
    return build(esmm())


def test_the_probability_is_a_product(model):
    outputs = model.predict(X, verbose=0)
    product = outputs["ctr"] * outputs["cvr"]
    np.testing.assert_allclose(outputs["ctcvr"], product, rtol=1e-5)
    assert (outputs["ctcvr"] <= outputs["ctr"]).all()


def test_the_logit_of_a_product_is_exact_at_saturated_logits():
    logits = np.array([-200.0, -30.0, -1.0, 0.0, 1.0, 30.0, 200.0])
    p, q = (z.reshape(-1, 1) for z in np.meshgrid(logits, logits))
    # The odds against both: (1 + exp(-p)) (1 + exp(-q)) - 1.
    terms = np.stack([-p, -q, -p - q])
    expected = -np.logaddexp.reduce(terms, axis=0)
    product = kmtl.layers.ProductLogits(dtype="float64")([p, q])
    np.testing.assert_allclose(product, expected, rtol=1e-12, atol=1e-12)


def test_the_gradient_of_a_product_is_exact_at_saturated_and_equal_logits():
    p = tf.constant([[-40.0], [-5.0], [0.0], [3.0], [20.0], [40.0]], "float64")
    layer = kmtl.layers.ProductLogits(dtype="float64")
    exact, numeric = tf.test.compute_gradient(lambda a, b: layer([a, b]), [p, 1 * p])
    np.testing.assert_allclose(exact, numeric, atol=1e-7)
    assert np.isfinite(exact).all()


def test_a_product_is_float32_under_mixed_precision():
    layer = kmtl.layers.ProductLogits()
    sure, half = tf.constant([[30.0]], "float16"), tf.constant([[0.0]], "float16")
    assert layer([sure, half]).dtype == "float32"


def test_the_losses_are_those_of_esmm_written_by_hand(model):
    logits = model.heads(model.encoder(X))[0][:, :, 0]  # the stack of ctr and cvr
    ctr_p, cvr_p = np.array(keras.ops.sigmoid(logits)).T
    cross_entropy = keras.losses.BinaryCrossentropy()
    logs = evaluate(model, X, Y)
    ctr = float(cross_entropy(CLICK, ctr_p))
    ctcvr = float(cross_entropy(BUY, ctr_p * cvr_p))
    clicked = CLICK == 1
    cvr = float(cross_entropy(BUY[clicked], cvr_p[clicked]))
    assert logs["ctr_loss"] == pytest.approx(ctr, rel=1e-5)
    assert logs["cvr_loss"] == pytest.approx(cvr, rel=1e-5)
    assert logs["ctcvr_loss"] == pytest.approx(ctcvr, rel=1e-5)
    assert logs["loss"] == pytest.approx(ctr + ctcvr, rel=1e-5)


def test_a_step_is_that_of_esmm_in_plain_keras():
    model = build(esmm())
    twin = keras.models.clone_model(model.encoder)
    twin.set_weights(model.encoder.get_weights())
    inputs, dense = keras.Input((FEATURES,)), keras.layers.Dense(2, "sigmoid")
    both = dense(twin(inputs))
    stack = next(v for v in model.layers if isinstance(v, kmtl.layers.TaskDense))
    kernel, bias = stack.get_weights()
    dense.set_weights([kernel[:, :, 0].T, bias[:, 0]])
    ctr = both[:, :1]
    plain = keras.Model(inputs, {"ctr": ctr, "ctcvr": ctr * both[:, 1:]})
    plain.compile(keras.optimizers.SGD(0.1), loss="binary_crossentropy")
    target = {name: Y[name][:, None] for name in ("ctr", "ctcvr")}
    plain.train_on_batch(X, target)
    model.train_on_batch(X, Y)
    kernel, bias = stack.get_weights()
    np.testing.assert_allclose(kernel[:, :, 0].T, dense.kernel, rtol=1e-4, atol=1e-6)
    for ours, theirs in zip(
        model.encoder.get_weights(), twin.get_weights(), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_labels_count_only_where_the_condition_holds(model):
    others = {**Y, "cvr": np.where(CLICK == 1, BUY, 1 - BUY)}
    assert evaluate(model, X, others) == evaluate(model, X, Y)


def test_a_missing_condition_does_not_hold(model):
    click = np.where(np.arange(ROWS) < 12, CLICK, np.nan)
    logs = evaluate(model, X, {**Y, "ctr": click})
    first = {name: labels[:12] for name, labels in Y.items()}
    assert logs["cvr_loss"] == pytest.approx(
        evaluate(model, X[:12], first)["cvr_loss"], rel=1e-5
    )


@pytest.mark.slow
def test_datasets_and_frames_know_conditions_too():
    frame = pd.DataFrame(X, columns=list("abcd")).assign(click=CLICK, buy=BUY)
    model = build(esmm(), inputs=frame)
    logs = evaluate(model, frame, None)
    y = frame[["click", "buy"]]
    assert evaluate(model, frame, y) == pytest.approx(logs, rel=1e-6)
    x = model.features.encode(frame)
    dataset = tf.data.Dataset.from_tensor_slices((x, Y)).batch(10)
    assert evaluate(model, dataset, None) == pytest.approx(logs, rel=1e-5)


def test_no_row_where_the_condition_holds_is_an_error():
    message = r"is missing or does not count, as that of task 'ctr' is not positive"
    with pytest.raises(ValueError, match=message):
        fit(build(esmm()), X, {**Y, "ctr": 0 * CLICK})


def test_statistics_of_labels_are_those_that_count():
    tasks = [kmtl.BinaryTask("a"), kmtl.RegressionTask("b", only_if="a")]
    model = build(tasks)
    b = np.arange(ROWS, dtype=float)
    model.adapt_labels({"a": CLICK, "b": b})
    mean, _ = model.outputs_layer.label_statistics_on_host()
    assert mean[1] == pytest.approx(b[CLICK == 1].mean())


def test_esmm_comes_back_from_a_file(model, tmp_path):
    expected = model.predict(X, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    for name, values in expected.items():
        np.testing.assert_array_equal(loaded.predict(X, verbose=0)[name], values)


def test_products_of_a_product_and_of_a_conditioned_task():
    tasks = [
        kmtl.ProductTask("abc", ["ab", "c"]),
        kmtl.ProductTask("ab", ["a", "b"]),
        kmtl.BinaryTask("a"),
        kmtl.BinaryTask("b", condition_on="a"),
        kmtl.BinaryTask("c", head=keras.layers.Dense(1)),
    ]
    p = build(tasks).predict(X, verbose=0)
    np.testing.assert_allclose(p["abc"], p["a"] * p["b"] * p["c"], rtol=1e-5)


def test_a_frozen_product_leaves_its_factors_free():
    model = build(esmm())
    model.set_trainable("ctcvr", False)
    before = model.get_weights()
    model.train_on_batch(X, {"ctcvr": BUY})
    moved = [np.any(a != b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert sum(moved) == len(model.trainable_variables)


A, B = kmtl.BinaryTask("a"), kmtl.RegressionTask("b")


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (lambda: kmtl.ProductTask("p", ["a", "x"]), "unknown task. Received: 'x'"),
        (lambda: kmtl.ProductTask("p", ["a", "b"]), "a binary one. Received: 'b'"),
        (lambda: kmtl.ProductTask("p", ["a", "p"]), "another task, .*Received: 'p'"),
        (lambda: kmtl.ProductTask("p", ["a", "q"]), "Received: 'q' -> 'p' -> 'q'"),
        (lambda: kmtl.ProductTask("p", ["a"]), r"at least two .* Received: \['a'\]"),
        (lambda: kmtl.ProductTask("p", ["a", "a"]), r"unique\. Repeated: \['a'\]"),
        (lambda: kmtl.ProductTask("p", "ac"), r"must be a list\. Received: 'ac'"),
        (
            lambda: kmtl.ProductTask("p", ["a", "c"], head_units=(3,)),
            r"has no head of its own, so no `head_units`",
        ),
        (lambda: kmtl.BinaryTask("p", only_if="b"), "a binary one. Received: 'b'"),
        (lambda: kmtl.BinaryTask("p", only_if="p"), "another task, .*Received: 'p'"),
        (lambda: kmtl.BinaryTask("p", only_if="aa"), r"Did you mean 'a'\?"),
        (lambda: kmtl.BinaryTask("p", only_if=["a"]), "must be the name of a task"),
    ],
)
def test_wrong_references_are_errors(task, message):
    other = kmtl.ProductTask("q", ["a", "p"])
    with pytest.raises(ValueError, match=message):
        build([A, B, kmtl.BinaryTask("c"), other, task()])


def test_factors_have_outputs_of_one_shape():
    pixels = kmtl.BinaryTask("b", head=keras.layers.Reshape((2, 2, 1)))
    tasks = [A, pixels, kmtl.ProductTask("p", ["a", "b"])]
    with pytest.raises(ValueError, match=r"of one shape\. Received: {'a': \(None, 1\)"):
        build(tasks, trunk=keras.layers.Dense(4))
