"""REST: what can go wrong between a client and a server, and what must not."""

import shutil
import socket
import ssl
import subprocess

import numpy as np
import pytest
from canned_double import canned_double, cut_answer, json_answer
from rest_double import read_float, rest_double, write_decimal
from stub_session import StubSession

from kmtl.serving import Client

AVAILABLE = json_answer(
    '{"model_version_status": [{"version": "1", "state": "AVAILABLE", "status": {}}]}'
)
DESCRIBED = json_answer(
    r'{"outputs": ["{\"format\": 1, \"tasks\": [{\"name\": \"a\", \"classes\": null, '
    r"\"kind\": \"BinaryTask\"}], \"inputs\": [{\"name\": \"x\", \"shape\": [], "
    r'\"dtype\": \"int64\", \"column\": null}]}"]}'
)
X = np.array([3, 4])


def ask(*connections, timeout=10.0):
    with canned_double(*connections) as url, Client(url, "m", timeout=timeout) as m:
        return m.predict(X)


def test_a_canned_answer_is_understood():
    answer = json_answer('{"outputs": [[0.25], [0.75]]}')
    assert ask([AVAILABLE, DESCRIBED, answer])["a"].tolist() == [False, True]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("400 Bad Request", ValueError),
        ("403 Forbidden", PermissionError),
        ("404 Not Found", LookupError),
        ("413 Content Too Large", ValueError),
        ("429 Too Many Requests", ConnectionError),
        ("500 Internal Server Error", RuntimeError),
        ("503 Service Unavailable", ConnectionError),
        ("504 Gateway Timeout", TimeoutError),
    ],
)
def test_a_refusal_is_an_error_with_the_words_of_the_server(status, error):
    refusal = json_answer('{ "error": "The batch is \\"full\\"" }', status)
    message = rf'127.0.0.1:\d+/v1/models/m refuses.*{status[:3]}, \'The batch is "full"'
    with pytest.raises(error, match=message):
        ask([refusal])


def test_the_words_of_a_gateway_are_given_too():
    with pytest.raises(ConnectionError, match="<h1>no upstream</h1>"):
        ask([json_answer("<h1>no upstream</h1>", "502 Bad Gateway")])


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        json_answer("<html>Hello</html>"),
        json_answer('{"model_version_'),
        json_answer("[1]"),
        json_answer('{"model_version_status": [{"version": "one"}]}'),
        cut_answer('{"model_version_status": []'),
    ],
)
def test_an_answer_of_something_else(answer):
    with pytest.raises(ConnectionError, match="does not answer as TensorFlow Serving"):
        ask([answer])


@pytest.mark.parametrize(
    "answer",
    [
        '{"predictions": [[0.25], [0.75]]}',
        '{"outputs": [[0.25]]}',
        '{"outputs": [[0.25], [0.75, 0.5]]}',
        '{"outputs": {"a": [[0.25], [0.75]], "b": [[0.25], [0.75]]}}',
        '{"outputs": 0.25}',
    ],
)
def test_outputs_that_do_not_fit(answer):
    with pytest.raises(ConnectionError, match="does not answer as TensorFlow Serving"):
        ask([AVAILABLE, DESCRIBED, json_answer(answer)])


def test_no_answer_in_time():
    with pytest.raises(TimeoutError, match=r"`timeout`.*nothing in 0.4 seconds"):
        ask([AVAILABLE, None], timeout=0.4)


def test_no_server():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ConnectionError, match=f"{port}.*gives no answer.*refused"):
        Client(f"http://127.0.0.1:{port}", "m").predict(X)


def test_an_idle_connection_that_was_closed_is_opened_again():
    answer = json_answer('{"outputs": [[0.25], [0.75]]}')
    assert len(ask([AVAILABLE], [DESCRIBED, answer])) == 2


def test_nothing_is_asked_twice_of_a_server_that_hangs_up():
    with pytest.raises(ConnectionError, match="gives no answer"):
        ask([AVAILABLE], [])
    with pytest.raises(ConnectionError, match=r"gives no answer(?!.*refused)"):
        ask([])  # a second connection would be refused


def test_a_client_goes_on_after_an_error(served):
    served.models["kinds"] = {1: StubSession([1, 2], lambda x: x)}
    with rest_double(served) as url, Client(url, "kinds") as client:
        client.predict(np.eye(2))
        served.models["kinds"][1].predict = lambda x: x[:1]
        with pytest.raises(ConnectionError):
            client.predict(np.eye(2))
        served.models["kinds"][1].predict = lambda x: x
        assert client.predict(np.eye(2))["kind"].tolist() == [1, 2]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate")
def test_https_checks_certificates(served, tmp_path, monkeypatch):
    served.models["kinds"] = {1: StubSession([1, 2], lambda x: x)}
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    command = [*request.split(), "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with rest_double(served, context=context) as url:
        with pytest.raises(ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            Client(url, "kinds").predict(np.eye(2))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with Client(url, "kinds") as client:
            assert client.predict(np.eye(2))["kind"].tolist() == [1, 2]


def test_a_gateway_may_put_the_server_under_a_path():
    refusal = json_answer("no", "403 Forbidden")
    message = r"127.0.0.1:\d+/mine/v1/models/m refuses"
    with (
        canned_double([refusal]) as url,
        Client(f"{url}/mine//", "m") as client,
        pytest.raises(PermissionError, match=message),
    ):
        client.predict(X)


def test_the_double_reads_numbers_as_rapidjson():
    texts = ["0.1", "-12.5e-3", "1700006400.123456", "1e300", "7"]
    assert [read_float(text) for text in texts] == [float(text) for text in texts]
    drawn = np.random.default_rng(0).uniform(0.0, 9.0, 1_000)
    read = np.array([read_float(repr(float(x))) for x in drawn])
    assert 0 < (read != drawn).mean() < 0.2  # they have 16 and 17 digits
    np.testing.assert_array_max_ulp(read, drawn, maxulp=3)


# The comment in `WriteDecimal` of util/json_tensor.cc of TensorFlow Serving.
def test_the_double_writes_numbers_as_tensorflow_serving():
    values = np.float32([0.2, 9_000_000, 0.00003, 3, 0.1234567, np.nan, -np.inf])
    assert [write_decimal(value) for value in values] == (
        ["0.2", "9e+06", "3e-05", "3.0", "0.123456702", "NaN", "-Infinity"]
    )
