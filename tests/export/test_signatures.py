"""Every signature of a SavedModel computes what Keras does."""

import json

import numpy as np
import pytest
import tensorflow as tf

import kmtl
from kmtl.export._examples import ExampleFormat


def example(**lists):
    features = {
        name: tf.train.Feature(**{kind: values})
        for name, (kind, values) in lists.items()
    }
    return tf.train.Example(
        features=tf.train.Features(feature=features)
    ).SerializeToString()


def assert_close(values, wanted):
    np.testing.assert_allclose(values, wanted, rtol=1e-5, atol=1e-5)


def test_the_signatures_of_an_export(session):
    named = {name for name in session.signatures if not name.startswith("__")}
    assert named == {
        "serving_default",
        "labels",
        "describe",
        "representation",
        "serve_examples",
        "predict_rich",
        "predict_predict",
        "predict_age",
        "classify_rich",
        "classify_predict",
        "regress_age",
    }


def test_inputs_have_the_names_of_the_columns(session, model):
    signature = session.signatures["serving_default"]
    assert set(signature.inputs) == set(model.features.names)


def test_all_tasks(session, raw, expected):
    outputs = session.run("serving_default", raw)
    assert outputs.keys() == expected.keys()
    assert {values.dtype for values in outputs.values()} == {np.dtype("float32")}
    for name, values in expected.items():
        assert_close(outputs[name], values)


@pytest.mark.parametrize("task", ["rich", "predict", "age"])
def test_one_task(session, raw, expected, task):
    outputs = session.run(f"predict_{task}", raw)
    assert list(outputs) == [task]
    assert_close(outputs[task], expected[task])


def test_python_takes_columns_by_their_names(path, model, frame, expected):
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    outputs = signature(**model.features.raw_inputs(frame))
    assert_close(outputs["rich"].numpy(), expected["rich"])


def test_labels_are_the_likeliest_classes(session, raw, expected):
    labels = session.run("labels", raw)
    order = np.argsort(-expected["predict"], axis=1, kind="stable")[:, :2]
    names = np.array([b"k1", b"k2", b"k3"])
    np.testing.assert_array_equal(labels["predict/classes"], names[order])
    wanted = np.take_along_axis(expected["predict"], order, axis=1)
    assert_close(labels["predict/scores"], wanted)


def test_labels_of_a_binary_task_are_both_its_values(session, raw, expected):
    labels = session.run("labels", raw)
    likely = np.where(expected["rich"] > 0.5, b"yes", b"no")
    np.testing.assert_array_equal(labels["rich/classes"][:, :1], likely)
    assert_close(labels["rich/scores"].sum(axis=1), 1.0)


def test_labels_of_a_regression_are_in_its_unit(session, raw, expected):
    assert_close(session.run("labels", raw)["age"], expected["age"])


def test_the_representation_is_what_the_heads_see(session, raw, model, frame):
    encoded = model.features.encode(frame)
    seen = session.run("representation", raw)["representation"]
    assert_close(seen, model.encoder(encoded).numpy())


def test_describe_answers_for_every_row(session):
    answer = session.run("describe", {"inputs": [0, 0, 0]})["metadata"]
    known = json.loads(answer[2])
    assert answer.shape == (3,)
    assert [task["name"] for task in known["tasks"]] == ["rich", "predict", "age"]


def test_examples_lack_what_is_missing(session, model, frame):
    empty = frame.head(1).drop(columns=["rich", "predict", "age"]).astype(object)
    empty.loc[:, :] = None
    outputs = session.run("serve_examples", {"inputs": [example()]})
    expected = model.predict(empty, verbose=0)
    for name, values in expected.items():
        assert_close(outputs[name], values)


def test_examples_hold_columns_by_their_names(session, model, frame):
    row = frame[frame["Straße/城"] == "köln"].head(1)
    serialized = example(
        **{
            "hours per week": ("float_list", floats(row["hours per week"])),
            "count.x": ("float_list", floats(row["count.x"])),
            "Straße/城": ("bytes_list", words(row["Straße/城"])),
            "class": ("bytes_list", words(row["class"])),
            "input_1": ("int64_list", integers(row["input_1"])),
            "since": (
                "int64_list",
                integers(row["since"].dt.as_unit("s").astype("int64")),
            ),
            "text": ("bytes_list", words(row["text"])),
            "code": ("int64_list", integers(row["code"])),
        }
    )
    outputs = session.run("serve_examples", {"inputs": [serialized]})
    for name, values in model.predict(row, verbose=0).items():
        assert_close(outputs[name], values)


def test_dates_in_examples_are_whole_seconds():
    column = kmtl.features.DateColumn(
        name="since", aware=False, parts=(), center=0.0, scale=1.0
    )
    types = {"since": tf.TensorSpec((None,), tf.float64)}
    kept = ExampleFormat(types, {"since": column})
    rounded = kept.rounded({"since": np.array([1.75, -1.25, np.nan])})["since"]
    np.testing.assert_array_equal(rounded, [1.0, -2.0, np.nan])


def floats(series):
    return tf.train.FloatList(value=series.astype(float))


def integers(series):
    return tf.train.Int64List(value=series.astype(int))


def words(series):
    return tf.train.BytesList(value=[text.encode() for text in series])


def test_an_example_with_the_wrong_list_is_an_error(session):
    wrong = example(**{"count.x": ("bytes_list", tf.train.BytesList(value=[b"4"]))})
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"count\.x"):
        session.run("serve_examples", {"inputs": [wrong]})
