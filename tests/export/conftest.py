"""One export that most tests of this folder look at."""

import pytest
from exported import model_of, raw_rows, unusual_frame

import kmtl
from kmtl.export._served import Served
from kmtl.export._session import Session


@pytest.fixture(scope="session")
def frame():
    return unusual_frame()


@pytest.fixture(scope="session")
def model(frame):
    return model_of(frame)


@pytest.fixture(scope="session")
def served(model):
    return Served(model)


@pytest.fixture(scope="session")
def path(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    return kmtl.export_saved_model(model, folder, representation=True, top_k=2)


@pytest.fixture(scope="session")
def session(path):
    with Session(path) as session:
        yield session


@pytest.fixture(scope="session")
def expected(model, frame):
    return model.predict(frame, verbose=0)


@pytest.fixture(scope="session")
def raw(model, frame):
    return raw_rows(model, frame)
