"""`information_gain`: what the label of a task tells about others."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from small import build, evaluate, fit, some_inputs, some_labels

import kmtl
from kmtl.analysis import information_gain

X = some_inputs(24)
TASKS = [
    kmtl.BinaryTask("a", metrics=["accuracy"]),
    kmtl.RegressionTask("r"),
    kmtl.BinaryTask("b", condition_on=["a", "r"], metrics=["accuracy"]),
    kmtl.RegressionTask("c", condition_on="b", standardize=False),
]
Y = some_labels(TASKS)


@pytest.fixture(scope="module")
def model():
    model = build(TASKS)
    model.adapt_labels(Y)
    return model


@pytest.fixture(scope="module")
def gains(model):
    return information_gain(model, (X, Y), batch_size=10)


def cross_entropy(labels, predicted):
    labels, predicted = np.asarray(labels), predicted[:, 0]
    return -np.mean(labels * np.log(predicted) + (1 - labels) * np.log(1 - predicted))


def test_rows_are_parents_and_columns_what_is_below_them(gains):
    assert list(gains.index) == ["a", "r", "b"]
    assert list(gains.columns) == ["b", "c"]
    expected = [[False, False], [False, False], [True, False]]
    np.testing.assert_array_equal(gains.isna(), expected)


@pytest.mark.parametrize("parent", ["a", "r"])
def test_a_gain_is_what_the_loss_of_the_predictions_loses(model, gains, parent):
    losses = [
        cross_entropy(Y["b"], model.predict(X, given=given, verbose=0)["b"])
        for given in (None, {parent: Y[parent]})
    ]
    assert gains.loc[parent, "b"] == pytest.approx(losses[0] - losses[1], abs=1e-5)


def test_a_score_rises_and_an_error_falls(model):
    scores = information_gain(model, (X, Y), metric="accuracy")
    assert list(scores.columns) == ["b"]
    plain = evaluate(model, X, Y)["b_accuracy"]
    known = model.predict(X, given={"a": Y["a"]}, verbose=0)["b"][:, 0] > 0.5
    expected = np.mean(known == Y["b"]) - plain
    assert scores.loc["a", "b"] == pytest.approx(expected, abs=1e-6)
    errors = information_gain(model, (X, Y), metric="mae")
    plain, known = (
        np.abs(model.predict(X, given=given, verbose=0)["c"][:, 0] - Y["c"]).mean()
        for given in (None, {"b": Y["b"]})
    )
    assert errors.loc["b", "c"] == pytest.approx(plain - known, abs=1e-6)


@pytest.mark.slow
def test_only_rows_with_the_label_of_the_parent_count(model):
    y = {**Y, "a": np.where(np.arange(24) < 9, Y["a"], np.nan)}
    gain = information_gain(model, (X, y)).loc["a", "b"]
    part = {name: values[:9] for name, values in Y.items()}
    expected = information_gain(model, (X[:9], part)).loc["a", "b"]
    assert gain == pytest.approx(expected, abs=1e-6)


def test_no_row_with_the_label_of_the_parent_is_nan(model):
    y = {**Y, "a": np.full(24, np.nan)}
    assert information_gain(model, (X, y)).loc["a"].isna().all()


@pytest.mark.slow
def test_a_dataset_gives_the_same(model, gains):
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(24)
    pd.testing.assert_frame_equal(information_gain(model, data), gains, atol=1e-6)


def test_nothing_in_the_model_changes(model):
    before, logs = model.get_weights(), evaluate(model, X, Y)
    information_gain(model, (X, Y))
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert model.get_metrics_result() == logs


def test_a_product_of_tasks_is_below_what_its_factors_see():
    tasks = [
        kmtl.BinaryTask("click"),
        kmtl.BinaryTask("cvr", condition_on="click"),
        kmtl.ProductTask("buy", ["click", "cvr"]),
    ]
    gains = information_gain(build(tasks), (X, {"cvr": Y["a"], "click": Y["b"]}))
    assert list(gains.columns) == ["cvr", "buy"]


def test_without_conditional_heads_it_is_an_error():
    with pytest.raises(ValueError, match=r"conditioned on others\. Received: none"):
        information_gain(build(TASKS[:2]), (X, Y))


def test_a_metric_that_no_child_has_is_an_error(model):
    with pytest.raises(ValueError, match=r"`metric` must be one of .*'accuracy'"):
        information_gain(model, (X, Y), metric="acuracy")


@pytest.mark.slow
def test_in_nats_it_is_the_conditional_mutual_information():
    # b is a flipped with probability 0.1; x tells nothing: log 2 - H(0.1) = 0.368.
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 2))
    a = rng.integers(0, 2, 20_000)
    y = {"a": a, "b": np.where(rng.random(20_000) < 0.1, 1 - a, a)}
    tasks = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b", condition_on="a")]
    model = build(tasks, inputs=(2,), optimizer=keras.optimizers.Adam(0.01))
    model.compile(run_eagerly=False)
    fit(model, x, y, epochs=15, batch_size=256)
    gain = information_gain(model, (x, y)).loc["a", "b"]
    assert gain == pytest.approx(0.368, abs=0.03)
