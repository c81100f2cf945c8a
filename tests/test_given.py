"""Prediction where labels of other tasks are known."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from small import build, some_inputs

import kmtl

ROWS = 10
X = some_inputs(ROWS)
COLOURS = ["red", "green", "blue"]


@pytest.fixture(scope="module")
def model():
    """`pay` sees `buy`, which sees a task of each other kind."""
    tasks = [
        kmtl.BinaryTask("click"),
        kmtl.MulticlassTask("colour", classes=COLOURS),
        kmtl.RegressionTask("price"),
        kmtl.BinaryTask("buy", condition_on=["click", "colour", "price"]),
        kmtl.BinaryTask("pay", condition_on="buy"),
    ]
    model = build(tasks)
    model.adapt_labels({"price": [100.0, 140.0]})  # mean 120, deviation 20
    return model


def predict(model, given=None, x=X, **options):
    return model.predict(x, given=given, verbose=0, **options)


def changed(before, after):
    return {name for name in before if not np.allclose(before[name], after[name])}


def by_hand(model, given):
    """Predictions of `buy` with a row of signals: click, colours, price."""
    kernel, bias = (
        np.array(w)[model.get_layer("head_3_out").tasks.index("buy")]
        for w in model.get_layer("head_3_out").weights
    )
    seen = np.concatenate([model.encoder(X), np.tile([given], (ROWS, 1))], axis=1)
    return 1 / (1 + np.exp(-(seen @ kernel + bias)))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"click": [1] * ROWS}, {"buy", "pay"}),
        ({"colour": ["blue"] * ROWS}, {"buy", "pay"}),
        ({"price": [500.0] * ROWS}, {"buy", "pay"}),
        ({"buy": [True] * ROWS}, {"pay"}),
        ({}, set()),
    ],
)
def test_a_known_label_changes_what_is_below_it_and_nothing_else(
    model, given, expected
):
    assert changed(predict(model), predict(model, given)) == expected


def test_labels_are_in_their_own_form_and_seen_as_in_training(model):
    known = {"click": [0] * ROWS, "colour": ["green"] * ROWS, "price": [150] * ROWS}
    expected = by_hand(model, [0, 0, 1, 0, 1.5])  # (150 - 120) / 20
    np.testing.assert_allclose(predict(model, known)["buy"], expected, rtol=1e-4)


def test_where_a_label_is_missing_the_prediction_stands_in(model):
    half = [1] * 4 + [np.nan] * (ROWS - 4)
    plain, all_known = predict(model), predict(model, {"click": [1] * ROWS})
    expected = np.concatenate([all_known["buy"][:4], plain["buy"][4:]])
    outputs = predict(model, {"click": half}, batch_size=3)
    np.testing.assert_allclose(outputs["buy"], expected, rtol=1e-5)


def test_classes_may_be_missing_too(model):
    known = predict(model, {"colour": [None] * ROWS})
    np.testing.assert_allclose(known["buy"], predict(model)["buy"], rtol=1e-5)


@pytest.fixture(scope="module")
def table():
    frame = pd.DataFrame(
        {"x": X[:, 0], "said": ["yes", "no"] * 5, "buy": [0, 1] * 5},
        index=range(5, 15),
    )
    tasks = [
        kmtl.BinaryTask("click", label="said", positive="yes"),
        kmtl.BinaryTask("buy", condition_on="click"),
    ]
    return frame, build(tasks, inputs=frame)


def test_a_column_of_the_frame_may_be_named_and_is_not_looked_at_otherwise(table):
    frame, model = table
    by_name = predict(model, {"click": "said"}, frame)["buy"]
    by_value = predict(model, {"click": frame["said"]}, frame)["buy"]
    np.testing.assert_array_equal(by_name, by_value)
    without = predict(model, None, frame[["x"]])["buy"]
    np.testing.assert_array_equal(predict(model, None, frame)["buy"], without)
    assert not np.allclose(by_name, without)


def test_a_frame_of_predictions_takes_them_too(table):
    frame, model = table
    options = {"given": {"click": "said"}, "verbose": 0}
    predicted = model.predict_frame(frame, probabilities=True, **options)
    expected = model.predict(frame, **options)["buy"][:, 0]
    np.testing.assert_array_equal(predicted["buy_1"], expected)
    assert list(predicted.index) == list(frame.index)


def test_rows_in_another_order_are_refused(table):
    frame, model = table
    with pytest.raises(ValueError, match=r"`given` with the index of `x` in another"):
        predict(model, {"click": frame["said"][::-1]}, frame)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"clock": [1] * ROWS}, r"`given` names an unknown task.*mean 'click'"),
        ({"pay": [1] * ROWS}, r"others are conditioned on\. Received: 'pay'\. Known"),
        ({"click": [1, 0]}, r"`given\['click'\]` .* each of 10 rows.* Received: 2"),
        ({"colour": ["rod"] * ROWS}, r"among its classes.*Did you mean 'red'"),
        ({"price": ["low"] * ROWS}, r"must be numbers"),
        ({"click": 1}, r"one value a row"),
        ({"click": "said"}, r"a column only where `x` is a DataFrame"),
    ],
)
def test_what_is_wrong_is_said(model, given, message):
    with pytest.raises(ValueError, match=message):
        predict(model, given)


def test_a_column_that_is_not_there_is_refused(table):
    frame, model = table
    with pytest.raises(ValueError, match=r"unknown column.*Did you mean 'said'"):
        predict(model, {"click": "sayd"}, frame)


def test_no_dict_is_refused(model):
    with pytest.raises(TypeError, match="`given` must be a dict of labels by task"):
        predict(model, [1] * ROWS)


def test_a_dataset_is_refused(model):
    data = tf.data.Dataset.from_tensor_slices(X).batch(5)
    with pytest.raises(ValueError, match="Predict it part by part"):
        predict(model, {"click": [1] * ROWS}, data)


def test_labels_of_unknown_statistics_are_refused():
    tasks = [
        kmtl.AuxiliaryTask(kmtl.RegressionTask("a")),
        kmtl.BinaryTask("b", condition_on="a"),
    ]
    with pytest.raises(ValueError, match=r"labels of task 'a' are not known yet"):
        predict(build(tasks), {"a": [1.0] * ROWS})
