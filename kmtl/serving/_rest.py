"""TensorFlow Serving's REST API, by the standard library alone."""

import http.client
import json
import ssl
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, quote

import numpy as np

from kmtl.serving._errors import not_understood, refusal, too_slow, unreachable
from kmtl.serving._transport import Transport


class RestTransport(Transport):
    """Speaks REST over one connection that is kept open.

    Threads take turns.

    Args:
        address: Scheme, host, port and path of the server.
        model: The name of the model.
        timeout: Seconds to wait for each part of an answer.

    Reference:
        https://www.tensorflow.org/tfx/serving/api_rest
    """

    def __init__(self, address: SplitResult, model: str, timeout: float) -> None:
        self._path = f"{address.path}/v1/models/{quote(model, safe='')}"
        self._url = f"{address.scheme}://{address.netloc}"
        super().__init__(self._url + self._path)
        self._timeout = timeout
        self._lock = threading.Lock()
        self._connection = _connection(address, timeout)

    def states(self) -> dict[int, str]:
        """See the base class; `GET /v1/models/<model>`."""
        answer = self._ask("GET", self._path)
        try:
            return {
                int(version["version"]): _state(version["state"], version["status"])
                for version in answer["model_version_status"]
            }
        except (KeyError, TypeError, ValueError) as error:
            raise not_understood(self._url + self._path, answer) from error

    def signatures(self, version: int) -> list[str]:
        """See the base class; `GET /v1/models/<model>/versions/<version>/metadata`."""
        path = f"{self._path}/versions/{version}/metadata"
        answer = self._ask("GET", path)
        try:
            return sorted(answer["metadata"]["signature_def"]["signature_def"])
        except (KeyError, TypeError) as error:
            raise not_understood(self._url + path, answer) from error

    def predict(
        self,
        version: int,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
    ) -> dict[str, np.ndarray]:
        """See the base class; `POST /v1/models/<model>/versions/<version>:predict`."""
        path = f"{self._path}/versions/{version}:predict"
        columns = {name: _plain(values) for name, values in inputs.items()}
        body = json.dumps(
            {"signature_name": signature, "inputs": columns}, separators=(",", ":")
        )
        answer = self._ask("POST", path, body.encode())
        try:
            values = answer["outputs"]
            # A single output is not named: `MakeColumnarFormatJsonFromTensors`.
            named = {outputs[0]: values} if len(outputs) == 1 else dict(values)
            return {name: np.asarray(value) for name, value in named.items()}
        except (KeyError, TypeError, ValueError) as error:
            raise not_understood(self._url + path, answer) from error

    def close(self) -> None:
        """Closes the connection; the next question opens another."""
        self._connection.close()

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        url = self._url + path
        try:
            with self._lock:
                status, content = self._exchange(method, path, body)
        except TimeoutError as error:
            raise too_slow(url, self._timeout) from error
        except OSError as error:
            raise unreachable(url, error) from error
        except http.client.HTTPException as error:
            raise not_understood(url, error) from error
        answer = _parsed(content)
        if status != http.HTTPStatus.OK:
            raise refusal(status, f"status {status}", _words(answer, content), url)
        if answer is None:
            raise not_understood(url, content)
        return answer

    def _exchange(
        self, method: str, path: str, body: bytes | None
    ) -> tuple[int, bytes]:
        kept = self._connection.sock is not None
        try:
            return self._send(method, path, body)
        except (ConnectionResetError, BrokenPipeError):
            if not kept:
                raise
            # Servers close connections that lay idle. Asking twice changes nothing.
            return self._send(method, path, body)

    def _send(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            return response.status, response.read()
        except BaseException:
            self._connection.close()  # what is left of the answer is not the next one
            raise


def _connection(address: SplitResult, timeout: float) -> http.client.HTTPConnection:
    host, port = str(address.hostname), address.port
    if address.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=timeout)
    context = ssl.create_default_context()
    return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)


def _state(state: str, status: Mapping[str, str]) -> str:
    message = status.get("error_message")
    return f"{state}: {message}" if message else state


def _plain(values: np.ndarray) -> list[Any]:
    """NaN stays a bare NaN, which TensorFlow Serving reads and strict JSON lacks."""
    if values.dtype == object:
        return [value.decode() for value in values.tolist()]
    return values.tolist()


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _words(answer: Any, content: bytes) -> str:
    if isinstance(answer, dict) and "error" in answer:
        return str(answer["error"])
    return content.decode(errors="replace")
