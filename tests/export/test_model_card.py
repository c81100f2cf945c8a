"""The model card tells a person what the metadata tells a program."""

import json
import re
import shlex

import pytest

from kmtl.export._model_card import model_card, write_model_card


def task(name, kind="RegressionTask", **facts):
    known = {"label": name, "classes": None, "unit": None, "shape": [1]}
    return {"name": name, "kind": kind, **known, **facts}


def column(name, kind, dtype, **facts):
    return {
        "name": name,
        "dtype": dtype,
        "shape": [],
        "column": {"kind": kind, **facts},
    }


@pytest.fixture
def metadata():
    return {
        "created": "2026-01-02T03:04:05+00:00",
        "versions": {"kmtl": "0.1.0", "keras": "3.15.1"},
        "parameters": 12_345,
        "inputs": [
            column("hours per week", "numeric", "float64", center=40.0),
            column("a|b`c\nd", "categorical", "string", vocabulary=["Rome's"]),
            column("open", "boolean", "int64", center=0.4),
            column("code", "categorical", "int64", vocabulary=[7]),
            column("since", "date", "float64", center=1e9),
        ],
        "tasks": [
            task("rich", "BinaryTask", classes=["no", "y|s"]),
            task("rich_aunt", unit="years"),
            task("colour", "MulticlassTask", classes=list(range(30)), shape=[30]),
        ],
        "signatures": [
            "serving_default",
            "labels",
            "predict_rich",
            "regress_rich_aunt",
        ],
        "metrics": {"loss": 1.5, "rich_auc": 0.98765, "rich_aunt_mae": None},
    }


@pytest.fixture
def card(metadata):
    return model_card(metadata)


def row(card, start):
    """The cells of the row of a table that starts with a text."""
    (line,) = [line for line in card.splitlines() if line.startswith(f"| {start}")]
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_tasks_are_told_with_classes_units_and_measures(card):
    assert row(card, "`rich` ")[2:] == ["binary", r"`no`, `y\|s`", "1", "`auc` 0.9877"]
    assert row(card, "`rich_aunt`")[2:] == ["regression", "`years`", "1", "`mae` NaN"]
    assert "Measured of the whole model: `loss` 1.5." in card


def test_of_many_classes_the_first_are_told(card):
    assert row(card, "`colour`")[3].endswith("`19`, ... (10 more)")


def test_inputs_are_told_with_what_is_missing(card):
    assert row(card, "`hours per week`")[1:] == ["float64", "1 value", "numeric", "NaN"]
    assert row(card, r"`` a\|b`c d ``")[3:] == ["categorical", "the empty string"]
    assert row(card, "`open`")[-1] == "-1"
    assert row(card, "`code`")[-1] == "-9223372036854775808"
    assert "Dates are seconds since 1970-01-01" in card


def test_the_request_is_one_the_shell_and_json_understand(card):
    (block,) = re.findall(r"```shell\n(.*)\n```", card)
    command, url, flag, body = shlex.split(block)
    assert (command, flag) == ("curl", "-d")
    assert url == "http://localhost:8501/v1/models/NAME:predict"
    assert json.loads(body)["instances"] == [
        {
            "hours per week": 40.0,
            "a|b`c\nd": "Rome's",
            "open": 1,
            "code": 7,
            "since": 1e9,
        }
    ]


def test_arrays_are_told_by_shape(metadata):
    image = {"name": "image", "dtype": "uint8", "shape": [28, 28, 1], "column": None}
    words = {"name": "words", "dtype": "int32", "shape": [None], "column": None}
    card = model_card({**metadata, "inputs": [image, words]})
    assert row(card, "`image`")[1:] == ["uint8", "28 x 28 x 1", "array", "not known"]
    assert row(card, "`words`")[2] == "any"
    assert '"instances": [{"image": "SHAPE [28, 28, 1]", "words": [0]}]' in card


def test_blanks_show(metadata):
    blank = task("a", "MulticlassTask", classes=["", " ", "x"], shape=[3])
    card = model_card({**metadata, "tasks": [blank], "metrics": {}})
    assert row(card, "`a`")[3] == "`''`, `' '`, `x`"


def test_signatures_are_told_once_for_all_tasks(card):
    assert row(card, "`predict_<task>`")[0] == "`predict_<task>`, of 1 task"
    assert row(card, "`labels`")[1] == "inputs by name"
    assert "classify_" not in card


def test_what_is_not_known_is_not_made_up(card, metadata):
    assert "## What is not stated" in card
    assert "Nobody stated to the export how well" not in card
    unmeasured = model_card({**metadata, "metrics": {}})
    assert "Nobody stated to the export how well the model does." in unmeasured


def test_every_row_of_a_table_has_all_its_cells(card):
    tables = re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE)
    cells = [
        [len(re.findall(r"(?<!\\)\|", line)) for line in t.splitlines()] for t in tables
    ]
    assert len(tables) == 4
    assert all(len(set(counts)) == 1 for counts in cells)


def test_the_card_lies_beside_the_metadata(metadata, card, tmp_path):
    (tmp_path / "assets.extra").mkdir()
    write_model_card(tmp_path, metadata)
    assert (tmp_path / "assets.extra" / "README.md").read_text("utf-8") == card
