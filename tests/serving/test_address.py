"""Arguments of a client."""

import pytest

from kmtl.serving import Client


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8501",
        "localhost",
        "ftp://localhost",
        "http://",
        "http://:8501",
        "http://localhost:port",
        "http://localhost:99999",
        "http://[::1",
        "http://localhost:8501/v1/models/census",
        "http://localhost:8501?x=1",
        "http://me:secret@localhost:8501",
        "grpc://localhost:8500/census",
        "",
        None,
        8501,
    ],
)
def test_an_address_that_is_none(url):
    with pytest.raises(ValueError, match=r"`url` must be the address.*Received: "):
        Client(url, "census")


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8501",
        "http://localhost:8501/",
        "HTTPS://models.example.com/serving/",
        "http://[::1]:8501",
    ],
)
def test_constructing_asks_nothing(url):
    assert repr(Client(url, "m", version=3)) == f"Client({url!r}, 'm', version=3)"


@pytest.mark.parametrize("model", ["", None, 3])
def test_a_model_has_a_name(model):
    with pytest.raises(ValueError, match="`model` must be the name"):
        Client("http://localhost", model)


@pytest.mark.parametrize("version", [-1, "3", 1.0, True])
def test_a_version_is_a_number(version):
    with pytest.raises(ValueError, match="`version` must be an integer"):
        Client("http://localhost", "m", version=version)


@pytest.mark.parametrize("timeout", [0, -1.0, None, "1s", float("inf")])
def test_a_timeout_is_positive_and_ends(timeout):
    with pytest.raises(ValueError, match=r"`timeout` must be (positive|a finite)"):
        Client("http://localhost", "m", timeout=timeout)
