"""A client of TensorFlow Serving: a frame in, the predictions as a frame out."""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
import pandas as pd

from kmtl._checks import (
    check_count,
    check_number,
    check_positive,
    check_positive_integer,
)
from kmtl._predict_frame import predictions_frame
from kmtl.serving._address import split_address
from kmtl.serving._errors import NotServedError
from kmtl.serving._grpc import GrpcTransport
from kmtl.serving._rest import RestTransport
from kmtl.serving._served_version import ServedVersion

_Answer = TypeVar("_Answer")


class Client:
    """Asks a model that TensorFlow Serving serves from `kmtl.export_saved_model`.

    It needs no model and no file: the server tells the columns, tasks and classes. A
    frame is converted as the model does it, so what the model refuses is refused here,
    in the same words, before anything is sent. The first question opens the connection;
    `close()`, or a `with` block, ends it. Threads may share a client.

    All batches of a call are predicted by one version: the newest one when the client
    first asks, and the same from then on, until the server lets go of it, or a question
    fails and there is a newer one. So predictions and names of classes never mix. A
    request is repeated only then, and where the server closed an idle connection.

    By REST, TensorFlow Serving may be wrong in the last digits of a float64 that it
    reads (its parser, RapidJSON, trades them for speed); by gRPC all are exact. Proxies
    that the environment names are not used.

    Args:
        url: `"http://host:8501"` or `https://` for REST; `"grpc://host:8500"` or
            `grpcs://` for gRPC, which needs the extra `kmtl[serving]`. Certificates
            are checked: of `https://` against those that the system trusts, of
            `grpcs://` against those that gRPC comes with, or the file that the
            environment variable `GRPC_DEFAULT_SSL_ROOTS_FILE_PATH` names.
        model: The name the server has for the model.
        version: The version to ask; the newest by default.
        timeout: Seconds to wait for the answer of each batch; by REST, for each part
            of it.

    Raises:
        ImportError: If the extra is needed and not installed.
        ValueError: If an argument is not valid.

    Example:
        >>> from kmtl.serving import Client
        >>> client = Client("http://localhost:8501", "census")
        >>> client
        Client('http://localhost:8501', 'census', version=None)

        With a server there, `client.predict(frame)` is `model.predict_frame(frame)`.

    Reference:
        https://www.tensorflow.org/tfx/serving/api_rest
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        version: int | None = None,
        timeout: float = 60.0,
    ) -> None:
        address = split_address(url)
        if not isinstance(model, str) or not model:
            raise ValueError(
                "`model` must be the name that the server has for the model. "
                f"Received: {model!r}."
            )
        if version is not None:
            check_count(version, "version")
            version = int(version)
        check_positive(timeout, "timeout")
        check_number(timeout, "timeout")
        self._url, self._model, self._version = url, model, version
        kind = RestTransport if address.scheme.startswith("http") else GrpcTransport
        self._transport = kind(address, model, timeout)
        self._served: ServedVersion | None = None

    def predict(
        self,
        x: Any,
        *,
        task: str | None = None,
        probabilities: bool = False,
        batch_size: int = 1024,
    ) -> pd.DataFrame:
        """Predicts a DataFrame with one column a task, in the values of the labels.

        Args:
            x: A DataFrame or a dict of columns; for a model on arrays an array, or a
                dict of arrays by the names of its inputs.
            task: One task, and nothing else, is computed and returned; it needs a
                signature of its own (`task_signatures` of `kmtl.export_saved_model`).
            probabilities: Whether to add columns `<task>_<class>`; for a binary task
                only that of its positive class.
            batch_size: Rows a request.

        Returns:
            A DataFrame with the index of `x`, if that is one: what
            `model.predict_frame` gives.

        Raises:
            ConnectionError: If no server answers, or none of this kind.
            LookupError: If it has no such model or version.
            TimeoutError: If it does not answer in time.
            TypeError: If the form of `x`, or a column, is not what the model takes.
            ValueError: If `x` lacks something, if the server refuses it, or if the
                model is no export of kmtl.
        """
        check_positive_integer(batch_size, "batch_size")
        tasks, arrays = self._ask_newest(lambda v: v.predict(x, task, batch_size))
        return predictions_frame(
            tasks,
            arrays,
            index=x.index if isinstance(x, pd.DataFrame) else None,
            probabilities=probabilities,
        )

    def predict_arrays(
        self, x: Any, *, task: str | None = None, batch_size: int = 1024
    ) -> dict[str, np.ndarray]:
        """Predicts what `model.predict` gives, in float32.

        Args:
            x: As for `predict`.
            task: As for `predict`.
            batch_size: As for `predict`.

        Returns:
            Arrays of shape `(rows, ...)` by task name.

        Raises:
            Exception: What `predict` raises.
        """
        check_positive_integer(batch_size, "batch_size")
        return self._ask_newest(lambda v: v.predict(x, task, batch_size))[1]

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        """Shows what is asked."""
        return f"Client({self._url!r}, {self._model!r}, version={self._version})"

    def _ask_newest(self, ask: Callable[[ServedVersion], _Answer]) -> _Answer:
        served = self._served or self._newest()
        try:
            return ask(served)
        except (NotServedError, TypeError, ValueError):
            if self._version_to_ask() == served.number:
                raise
        return ask(self._newest())  # the server has moved on

    def _newest(self) -> ServedVersion:
        self._served = ServedVersion(self._transport, self._version_to_ask())
        return self._served

    def _version_to_ask(self) -> int:
        states = self._transport.states()
        available = {v for v, state in states.items() if state == "AVAILABLE"}
        newest = max(available, default=None)
        version = newest if self._version is None else self._version
        if version in available:
            return version
        wanted = "a version" if self._version is None else f"version {self._version}"
        raise NotServedError(
            f"{self._transport.name} must offer {wanted}. Received: {states}. What is "
            "not there may be loading, have failed to, or not be configured."
        )
