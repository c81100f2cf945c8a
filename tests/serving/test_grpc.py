"""gRPC: what it alone can do wrong."""

import socket
import sys
import threading

import numpy as np
import pytest
from serving_rules import RefusedError
from stub_session import StubSession

from kmtl.serving import Client
from kmtl.serving._address import split_address
from kmtl.serving._grpc import GrpcTransport


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


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("INVALID_ARGUMENT", ValueError),
        ("PERMISSION_DENIED", PermissionError),
        ("NOT_FOUND", LookupError),
        ("RESOURCE_EXHAUSTED", ConnectionError),
        ("DEADLINE_EXCEEDED", TimeoutError),
        ("UNIMPLEMENTED", RuntimeError),
    ],
)
def test_a_refusal_is_the_error_that_it_is_by_rest(double, served, code, error):
    def refuse(_):
        raise RefusedError(code, "the batch is full")

    served.models["kinds"] = {1: StubSession([1, 2], refuse)}
    with (
        Client(double, "kinds") as client,
        pytest.raises(error, match=f"{code}, 'the batch is full'"),
    ):
        client.predict(np.eye(2))


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


def test_a_server_without_a_certificate_is_not_trusted(double):
    secure = double.replace("grpc://", "grpcs://")
    with Client(secure, "kinds") as client, pytest.raises(ConnectionError, match="SSL"):
        client.predict(np.eye(2))


def test_proxies_of_the_environment_are_not_used(double, served, monkeypatch):
    monkeypatch.setenv("grpc_proxy", "http://127.0.0.1:1")
    served.models["kinds"] = {1: StubSession([1, 2], lambda x: x)}
    with Client(double, "kinds") as client:
        assert len(client.predict(np.eye(2))) == 2


def test_the_port_is_that_of_tensorflow_serving_by_default():
    pytest.importorskip("tensorflow_serving")
    transport = GrpcTransport(split_address("grpc://localhost"), "m", 1.0)
    assert transport.name == "grpc://localhost:8500 (model 'm')"
    transport.close()


def test_no_server():
    pytest.importorskip("tensorflow_serving")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        Client(f"grpc://127.0.0.1:{port}", "m") as client,
        pytest.raises(ConnectionError, match=f"{port}.*UNAVAILABLE"),
    ):
        client.predict(np.eye(2))
