"""One model, exported once, and the test doubles that serve it."""

import importlib

import keras
import numpy as np
import pandas as pd
import pytest
from rest_double import read_float, rest_double
from serving_rules import ServedModels

import kmtl
from kmtl.export._session import Session
from kmtl.serving import Client

ROWS = 60
CODES = [-(2**62) - 1, 3, 2**62 + 1]  # of which float64 holds one


@pytest.fixture(scope="session")
def frame():
    """Every kind of column, odd names, missing values, an index that does not count."""
    rng = np.random.default_rng(0)
    drawn = rng.uniform(0.0, 9.0, 200).astype("float32").tolist()
    prices = [x for x in drawn if read_float(repr(x)) != x][:4]  # REST is 1 ulp off
    words = [
        "naïve 😀 plum",
        'quo"te \\ back\nslash',
        "tab\tand\0nul",
        "an apple a day",
    ]
    frame = pd.DataFrame(
        {
            "hours per week": rng.normal(40.0, 10.0, ROWS),
            "price": np.repeat(prices, ROWS // 4),
            "größe.cm": rng.integers(0, 9, ROWS),
            "city": rng.choice(["Rome", "Olomouc \u2603", None], ROWS),
            "code": rng.choice(CODES, ROWS),
            "open": rng.random(ROWS) > 0.5,
            "since": pd.date_range("2020-01-01", periods=ROWS, freq="31h"),
            "said": [f"{words[i % 4]} {i}" for i in range(ROWS)],
        },
        index=pd.Index(range(100, 100 + ROWS), name="person"),
    )
    frame.loc[::7, "hours per week"] = np.nan
    frame["rich"] = rng.choice(["no", "50000+."], ROWS)
    frame["rooms"] = rng.choice([2, 3, 5], ROWS)
    frame["flag_bytes"] = rng.random(ROWS) > 0.5
    frame["age"] = rng.normal(40.0, 10.0, ROWS)
    return frame


@pytest.fixture(scope="session")
def model(frame):
    keras.utils.set_random_seed(0)
    tasks = [
        kmtl.BinaryTask("rich", positive="50000+."),
        kmtl.MulticlassTask("rooms"),
        kmtl.BinaryTask("flag_bytes"),
        kmtl.RegressionTask("age"),
    ]
    features = kmtl.TabularFeatures.from_frame(
        frame,
        exclude=[task.name for task in tasks],
        categorical=["code", "city"],
        text=["said"],
    )
    trunk = kmtl.trunks.MLP([8])
    model = kmtl.build_mtl_model(frame, tasks, features=features, trunk=trunk)
    model.compile(run_eagerly=True)
    return model


@pytest.fixture(scope="session")
def session(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    version = kmtl.export_saved_model(model, folder, task_signatures=["rich"])
    with Session(version) as session:
        yield session


@pytest.fixture
def served(session):
    """What the test doubles serve; a test may change it."""
    return ServedModels({"census": {1: session}})


@pytest.fixture(params=["rest", "grpc"])
def url(request, served):
    if request.param == "rest":
        with rest_double(served) as address:
            yield address
        return
    pytest.importorskip("tensorflow_serving")
    with importlib.import_module("grpc_double").grpc_double(served) as address:
        yield address


@pytest.fixture
def client(url):
    with Client(url, "census", timeout=20.0) as client:
        yield client
