"""An export says what it is, so that programs can use it without its code."""

import datetime
import json

import numpy as np
import pandas as pd
import pytest

import kmtl
from kmtl.export._metadata import metadata, write_metadata
from kmtl.features._columns import column_from_config
from kmtl.features._encode import raw_inputs
from kmtl.serving._description import description_of

FRAME = pd.DataFrame(
    {
        "hours per week": [40.0, 20.0, np.nan, 38.0] * 10,
        "größe": [1, 2, 3, 4] * 10,
        "city": ["Rome", "Oslo", "Rome", None] * 10,
        "open": [True, False, True, True] * 10,
        "since": pd.date_range("2020-01-01", periods=40),
        "rich": ["no", "yes"] * 20,
        "age": [20.0, 30.0, 40.0, 50.0] * 10,
    }
)
TASKS = [
    kmtl.BinaryTask("wealth", label="rich", positive="yes", loss_weight=2.0),
    kmtl.RegressionTask("age", unit="years"),
]


@pytest.fixture(scope="module")
def model():
    return kmtl.build_mtl_model(FRAME, TASKS, trunk=kmtl.trunks.MLP([4]))


@pytest.fixture(scope="module")
def arrays_model():
    tasks = [
        kmtl.BinaryTask("a"),
        kmtl.BinaryTask("b"),
        kmtl.ProductTask("c", ["a", "b"]),
        kmtl.MulticlassTask("d", classes=[1, 2, 3]),
        kmtl.AuxiliaryTask(kmtl.RegressionTask("hint")),
    ]
    inputs = {"left": (4,), "right": (2,)}
    return kmtl.build_mtl_model(inputs, tasks, trunk=kmtl.trunks.MLP([4]))


def test_tasks_are_told_with_how_they_were_trained(model):
    wealth, age = metadata(model, signatures=[])["tasks"]
    assert wealth == {
        "name": "wealth",
        "kind": "BinaryTask",
        "classes": ["no", "yes"],
        "unit": None,
        "shape": [1],
        "label": "rich",
        "loss_weight": 2.0,
        "mean": None,
        "scale": None,
    }
    assert (age["classes"], age["unit"], age["mean"]) == (None, "years", 35.0)
    assert age["scale"] == pytest.approx(np.std([20.0, 30.0, 40.0, 50.0]))


def test_a_client_converts_frames_as_the_model_does(model):
    inputs = description_of(model)["inputs"]
    columns = [column_from_config(given["column"]) for given in inputs]
    ours = raw_inputs(columns, FRAME)
    expected = model.features.raw_inputs(FRAME)
    assert {given["name"]: given["dtype"] for given in inputs} == {
        name: tensor.dtype.name for name, tensor in expected.items()
    }
    for name, tensor in expected.items():
        np.testing.assert_array_equal(ours[name].numpy(), tensor.numpy())


def test_a_client_gets_no_vocabularies(model):
    columns = [given["column"] for given in description_of(model)["inputs"]]
    assert columns[2]["vocabulary"] == ["Rome"]
    assert not any(column.get("values") or column.get("edges") for column in columns)


def test_kinds_of_tasks_are_those_a_client_knows(arrays_model):
    tasks = description_of(arrays_model)["tasks"]
    assert [(t["name"], t["kind"], t["classes"], t["shape"]) for t in tasks] == [
        ("a", "BinaryTask", None, [1]),
        ("b", "BinaryTask", None, [1]),
        ("c", "BinaryTask", None, [1]),
        ("d", "MulticlassTask", [1, 2, 3], [3]),
    ]


def test_inputs_that_are_arrays(arrays_model):
    assert description_of(arrays_model)["inputs"] == [
        {"name": "left", "dtype": "float32", "shape": [4], "column": None},
        {"name": "right", "dtype": "float32", "shape": [2], "column": None},
    ]


def test_the_file_is_strict_json_of_the_same_facts(model, tmp_path):
    metrics = {"loss": np.float32(0.5), "wealth_auc": float("nan"), "epochs": 3}
    data = metadata(model, signatures=["serving_default"], metrics=metrics)
    write_metadata(tmp_path, data)
    text = (tmp_path / "assets.extra" / "kmtl.json").read_text("utf-8")
    assert json.loads(text, parse_constant=pytest.fail) == data
    assert data["metrics"] == {"loss": 0.5, "wealth_auc": None, "epochs": 3.0}
    assert "größe" in text


def test_when_and_with_what_it_was_made(model):
    data = metadata(model, signatures=[])
    created = datetime.datetime.fromisoformat(data["created"])
    assert created.utcoffset() == datetime.timedelta(0)
    assert data["versions"]["kmtl"] == kmtl.__version__
    assert set(data["versions"]) >= {"keras", "tensorflow", "numpy", "python"}
    assert data["parameters"] == sum(w.size for w in model.get_weights())


@pytest.mark.parametrize("value", [float("inf"), "0.5", None, True])
def test_metrics_are_finite_numbers(model, value):
    with pytest.raises(ValueError, match="`metrics` must hold finite numbers"):
        metadata(model, signatures=[], metrics={"loss": value})


def test_metrics_go_by_name(model):
    with pytest.raises(TypeError, match="`metrics` must be a dict of numbers by name"):
        metadata(model, signatures=[], metrics=[0.5])


def test_units_are_text():
    with pytest.raises(ValueError, match=r"`unit` of RegressionTask\('a'\) must be"):
        kmtl.RegressionTask("a", unit=1)


def test_tasks_saved_before_there_were_units_load():
    config = kmtl.RegressionTask("a").get_config()
    del config["unit"]
    assert kmtl.RegressionTask.from_config(config) == kmtl.RegressionTask("a")
