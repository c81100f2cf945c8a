"""gRPC: what it alone can do wrong."""

import socket
import sys
import threading

import numpy as np
import pytest
from stub_session import StubSession

from kmtl.serving import Client


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(ImportError, match=r"pip install 'kmtl\[serving\]'.*REST"):
        Client("grpc://localhost:8500", "m")


@pytest.fixture
def double(served):
    pytest.importorskip("tensorflow_serving")
    from grpc_double import grpc_double  # noqa: PLC0415 - needs an extra

    with grpc_double(served) as url:
        yield url


def test_an_answer_of_more_than_four_megabytes(double, served):
    served.models["kinds"] = {1: StubSession([1, 2], lambda x: x)}
    with Client(double, "kinds") as client:
        assert (
            len(client.predict(np.zeros((600_000, 2)), batch_size=600_000)) == 600_000
        )


def test_no_answer_in_time(double, served):
    done = threading.Event()
    stub = StubSession([1, 2], lambda x: x[: done.wait(10.0)])
    served.models["kinds"] = {1: stub}
    with (
        Client(double, "kinds", timeout=0.3) as client,
        pytest.raises(TimeoutError, match="DEADLINE_EXCEEDED"),
    ):
        client.predict(np.eye(2))
    done.set()


def test_no_server():
    pytest.importorskip("tensorflow_serving")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        Client(f"grpc://127.0.0.1:{port}", "m") as client,
        pytest.raises(ConnectionError, match=f"{port}.*UNAVAILABLE"),
    ):
        client.predict(np.eye(2))
