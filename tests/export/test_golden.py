"""Exports of earlier versions of the library go on working, see `make_golden.py`."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ask_golden import array, arrays, read_golden

import kmtl
from kmtl.export._session import Session
from kmtl.serving._description import Description

FOLDERS = sorted((Path(__file__).parents[2] / "saved_models").glob("golden*"))


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda folder: folder.name)
def folder(request):
    return request.param


@pytest.fixture(scope="module")
def golden(folder):
    return read_golden(folder)


@pytest.fixture(scope="module")
def session(folder):
    with Session(folder / "1") as session:
        yield session


@pytest.fixture(scope="module")
def frame(golden):
    return pd.DataFrame(golden["frame"])


@pytest.fixture(scope="module")
def model(folder):
    return kmtl.load(folder, version=1)


def assert_same(given, wanted):
    """Text is equal, numbers are to 1e-5 of the largest."""
    assert given.keys() == wanted.keys()
    for name, expected in wanted.items():
        if expected.dtype.hasobject:
            np.testing.assert_array_equal(given[name], expected)
        else:
            tolerance = 1e-5 * max(1.0, np.nanmax(np.abs(expected)))
            np.testing.assert_allclose(given[name], expected, rtol=0, atol=tolerance)


def assert_answers(session, golden, name):
    known, signature = golden["signatures"][name], session.signatures[name]
    request = arrays(golden["requests"][known["request"]], signature.inputs)
    wanted = arrays(known["outputs"], signature.outputs)
    assert_same(session.run(name, request), wanted)


def test_there_is_an_export_of_the_first_format():
    assert [folder.name for folder in FOLDERS][:1] == ["golden"]


def test_all_tasks_are_served_as_they_were(session, golden):
    assert_answers(session, golden, "serving_default")


@pytest.mark.slow
def test_every_signature_answers_as_it_did(session, golden):
    for name in golden["signatures"]:
        assert_answers(session, golden, name)


def test_the_model_in_it_predicts_the_same(model, frame, golden):
    outputs = golden["signatures"]["serving_default"]["outputs"]
    wanted = {name: np.array(values) for name, values in outputs.items()}
    assert_same(model.predict(frame, verbose=0), wanted)


def test_the_model_in_it_trains_on(model, frame):
    steps = int(model.optimizer.iterations)
    history = model.fit(frame, epochs=1, verbose=0).history
    assert steps > 0
    assert int(model.optimizer.iterations) == steps + 1
    assert np.isfinite(history["loss"])


def test_a_client_understands_what_it_says_of_itself(golden, frame):
    text = golden["signatures"]["describe"]["outputs"]["metadata"][0]
    description = Description.from_text(text)
    sent = description.inputs(frame)
    assert [task.name for task in description.tasks] == ["rich", "predict", "age"]
    for name, values in golden["requests"]["raw"].items():
        assert_same({name: sent[name]}, {name: array(values, sent[name].dtype)})
