"""Requests that a server answers while it loads a version, before anyone waits."""

import collections
import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kmtl._checks import import_extra
from kmtl.export._examples import ExampleFormat
from kmtl.export._metadata import EXTRA
from kmtl.export._served import Served
from kmtl.export._session import Session
from kmtl.export._signatures import CLASSIFY, PREDICT, REGRESS, Signature

FILE = "tf_serving_warmup_requests"
MOST_RECORDS = 1_000
"""`WarmupConsts` in `saved_model_warmup_util.h` of TensorFlow Serving; more are an
error there."""

# A server replays them each time that it loads the version.
MOST_ROWS = 1_000
_MESSAGES = "tensorflow_serving.apis.prediction_log_pb2"
_LOGS = {PREDICT: "predict_log", CLASSIFY: "classify_log", REGRESS: "regress_log"}


def write_warm_up(
    folder: Path,
    served: Served,
    signatures: Sequence[Signature],
    raw: Mapping[str, np.ndarray],
) -> None:
    """Writes `assets.extra/tf_serving_warmup_requests`, which servers replay.

    TensorFlow prepares a signature when it is first run, and memory for a batch when
    one of that size first comes. So every signature is asked twice: about the first row
    alone, and about all rows at once. Give as many rows as a large request has.

    Of more than 1,000 requests, the most a server takes, the first are written: those
    of the signatures for all tasks, then those of the first tasks.

    Args:
        folder: The folder of the version.
        served: What is served.
        signatures: What a server can be asked; those that do not take rows are skipped.
        raw: Real rows: raw inputs by name, 1 to 1,000 rows.

    Raises:
        ImportError: If `tensorflow-serving-api` is not installed.
        ValueError: If there are no rows, or too many.
    """
    check_warm_up(raw)
    logs = import_extra(_MESSAGES, "serving")
    requests = (
        _log(logs.PredictionLog(), signature, batch, served.examples)
        for signature in signatures
        if signature.inputs is served.inputs or signature.takes_examples
        for batch in _batches(raw)
    )
    extra = folder / EXTRA
    extra.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(extra / FILE)) as file:
        for log in itertools.islice(requests, MOST_RECORDS):
            file.write(log.SerializeToString())


def check_warm_up(raw: Mapping[str, np.ndarray]) -> None:
    """Raises unless there are from 1 to 1,000 rows and requests can be written."""
    rows = _count(raw)
    if not 1 <= rows <= MOST_ROWS:
        raise ValueError(
            f"`warm_up` must have from 1 to {MOST_ROWS:,} rows, such as "
            f"frame.head(64). Received: {rows:,} rows."
        )
    import_extra(_MESSAGES, "serving")


def replay_warm_up(folder: Path, session: Session) -> int:
    """Reads the requests of a version anew and runs each, as a server will.

    A server gives up the whole version for one bad record.

    Args:
        folder: The folder of the version.
        session: The same version, loaded.

    Returns:
        The number of requests.

    Raises:
        ImportError: If `tensorflow-serving-api` is not installed.
        ValueError: If a server would refuse one of them, or that many.

    Reference:
        `saved_model_warmup_util.cc`, `saved_model_warmup.cc` and `predict_util.cc` of
        https://github.com/tensorflow/serving.
    """
    logs = import_extra(_MESSAGES, "serving")
    file = str(folder / EXTRA / FILE)
    records = list(tf.data.TFRecordDataset(file).as_numpy_iterator())
    if len(records) > MOST_RECORDS:
        raise ValueError(
            f"`{FILE}` must have at most {MOST_RECORDS:,} records. "
            f"Received: {len(records):,}."
        )
    requests = []
    for number, record in enumerate(records):
        with _told_as_record(number):
            log = logs.PredictionLog.FromString(record)
            requests.append(_request(log, session))
    for numbers in _rounds(requests):
        try:
            session.run_all(dict(requests[number] for number in numbers))
        except (ValueError, tf.errors.OpError):
            _run_each(requests, session)
            raise
    return len(records)


def _rounds(requests: Sequence[tuple[str, Any]]) -> list[list[int]]:
    """Collects requests to different signatures, which are answered at once."""
    rounds: list[list[int]] = []
    seen: collections.Counter[str] = collections.Counter()
    for number, (name, _) in enumerate(requests):
        if seen[name] == len(rounds):
            rounds.append([])
        rounds[seen[name]].append(number)
        seen[name] += 1
    return rounds


def _run_each(
    requests: Sequence[tuple[str, Mapping[str, np.ndarray]]], session: Session
) -> None:
    """Finds the request that cannot be answered."""
    for number, (name, given) in enumerate(requests):
        with _told_as_record(number):
            session.run(name, given)


@contextlib.contextmanager
def _told_as_record(number: int) -> Iterator[None]:
    try:
        yield
    except (ValueError, tf.errors.OpError) as error:
        raise ValueError(
            f"Record {number} of `{FILE}` must be a request that the version answers, "
            f"or a server does not load it. Received: {error}"
        ) from error


def _batches(raw: Mapping[str, np.ndarray]) -> Iterator[Mapping[str, np.ndarray]]:
    yield {name: values[:1] for name, values in raw.items()}
    if _count(raw) > 1:
        yield raw


def _count(raw: Mapping[str, np.ndarray]) -> int:
    return len(next(iter(raw.values())))


def _log(
    log: Any,
    signature: Signature,
    raw: Mapping[str, np.ndarray],
    examples: ExampleFormat,
) -> Any:
    """Fills a log record with one request."""
    request = getattr(log, _LOGS[signature.method]).request
    request.model_spec.signature_name = signature.name
    given = {"inputs": examples.serialize(raw)} if signature.takes_examples else raw
    if signature.method == PREDICT:
        for key, values in given.items():
            proto = tf.make_tensor_proto(values, signature.inputs[key].dtype)
            request.inputs[key].CopyFrom(proto)
    else:
        for example in given["inputs"]:
            request.input.example_list.examples.add().ParseFromString(example)
    return log


def _request(log: Any, session: Session) -> tuple[str, dict[str, np.ndarray]]:
    """Returns the name of the signature that a record asks, and its inputs."""
    kind = log.WhichOneof("log_type")
    if kind not in _LOGS.values():
        raise ValueError(f"log type {kind}, which servers do not replay.")
    request = getattr(log, kind).request
    name = request.model_spec.signature_name
    if name not in session.signatures:
        raise ValueError(f"signature {name!r}, which the version lacks.")
    given = _given(kind, request)
    _check_types(session.signatures[name], given)
    return name, given


def _given(kind: str, request: Any) -> dict[str, np.ndarray]:
    if kind == _LOGS[PREDICT]:
        return {key: tf.make_ndarray(proto) for key, proto in request.inputs.items()}
    examples = request.input.example_list.examples
    rows = [example.SerializeToString() for example in examples]
    return {"inputs": np.array(rows, dtype=object)}


def _check_types(signature: Any, given: Mapping[str, np.ndarray]) -> None:
    """Refuses what a session of Python would convert, and a server does not."""
    wanted = {
        key: np.dtype(tf.as_dtype(info.dtype).as_numpy_dtype).name
        for key, info in signature.inputs.items()
    }
    received = {key: values.dtype.name for key, values in given.items()}
    if received != wanted:
        raise ValueError(f"inputs {received}; the signature takes {wanted}.")
