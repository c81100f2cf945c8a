"""A test double of TensorFlow Serving's REST API; no part of kmtl, no server to use.

Strict where TensorFlow Serving is: each rule names the file it was read in, all of
https://github.com/tensorflow/serving (July 2026) unless said otherwise.
"""

import base64
import contextlib
import http.server
import json
import re
import threading
from urllib.parse import unquote

import numpy as np
import tensorflow as tf
from serving_rules import RefusedError

# model_servers/http_rest_api_util.cc
_MODEL = r"(?i)/v1/models/([^/:]+)(?:/versions/(\d+))?"
_PREDICT = re.compile(_MODEL + r":predict")
_STATUS = re.compile(_MODEL + r"(/metadata)?")

# `ToHTTPStatusCode` of model_servers/http_server.cc
_HTTP_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "NOT_FOUND": 404,
    "UNIMPLEMENTED": 501,
}

_SIX_DIGITS, _NINE_DIGITS = "%g", "%.9g"


@contextlib.contextmanager
def rest_double(served, *, context=None):
    """Serves models on a free port of this machine; yields the address.

    Args:
        served: A `ServedModels`.
        context: An `ssl.SSLContext` to serve HTTPS with.
    """

    class Handler(_Handler):
        models = served

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        scheme = "http" if context is None else "https"
        try:
            yield f"{scheme}://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept
    disable_nagle_algorithm = True
    models = None

    def do_GET(self):
        match = _STATUS.fullmatch(self.path)
        self._answer(match, _metadata if match and match[3] else _status)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        match = _PREDICT.fullmatch(self.path)
        self._answer(match, lambda *model: _predict(*model, body))

    def _answer(self, match, ask):
        """As `ProcessRequest` of model_servers/http_rest_api_handler.cc."""
        try:
            if match is None:
                message = f"Malformed request: {self.command} {self.path}"
                raise RefusedError("INVALID_ARGUMENT", message)
            version = None if match[2] is None else int(match[2])
            status, text = 200, ask(self.models, unquote(match[1]), version)
        except RefusedError as refused:
            status = _HTTP_STATUS[refused.code]
            text = json.dumps({"error": refused.message})
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def _status(models, name, _):
    # ModelVersionStatus of apis/get_model_status.proto; proto3 JSON quotes int64.
    return json.dumps(
        {
            "model_version_status": [
                {
                    "version": str(version),
                    "state": state,
                    "status": {
                        "error_code": "UNKNOWN" if message else "OK",
                        "error_message": message,
                    },
                }
                for version, state, message in models.states(name)
            ]
        }
    )


def _metadata(models, name, version):
    # `ToJsonString` of model_servers/http_rest_api_util.cc; what is in the definitions
    # is left out here.
    version, session = models.session(name, version)
    definitions = {key: {} for key in session.signatures}
    return json.dumps(
        {
            "model_spec": {"name": name, "version": str(version)},
            "metadata": {"signature_def": {"signature_def": definitions}},
        }
    )


def _predict(models, name, version, body):
    """As `ProcessPredictRequest` of model_servers/http_rest_api_handler.cc."""
    request = parse_json(body)
    signature = request.get("signature_name", "serving_default")
    _, session = models.session(name, version)
    if signature not in session.signatures:  # GetInfoMap
        message = f'Serving signature name: "{signature}" not found in signature def'
        raise RefusedError("INVALID_ARGUMENT", message)
    inputs = fill_inputs(request, session.signatures[signature].inputs)
    return json_of(models.predict(name, version, signature, inputs)[1])


def parse_json(body):
    """As `ParseJson` of util/json_tensor.cc: bare NaN and infinity are fine."""
    try:
        document = json.loads(body, parse_float=read_float)
    except ValueError as error:
        message = f"JSON Parse error: {error}"
        raise RefusedError("INVALID_ARGUMENT", message) from error
    if not isinstance(document, dict):
        raise RefusedError("INVALID_ARGUMENT", "Is not object")
    return document


def read_float(text):
    """As `ParseNumber` of RapidJSON 1.1.0 without kParseFullPrecisionFlag.

    Digits are gathered in an integer until it passes 2**53, then in a float, and scaled
    by a power of 10 at the end: fast, and up to 3 units in the last place wrong.
    (reader.h and internal/strtod.h of https://github.com/Tencent/rapidjson, v1.1.0.)
    """
    mantissa, _, exponent = text.lower().lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits, power, counted = int(whole), int(exponent or 0), len(whole) - 1
    value = float(digits)
    for digit in map(int, fraction):
        if digits < 2**53:
            digits, power = digits * 10 + digit, power - 1
            value, counted = float(digits), counted + (digits > 0)
        elif counted < 17:
            value, power, counted = value * 10.0 + digit, power - 1, counted + 1
    scale = float(f"1e{abs(power)}")
    value = value * scale if power >= 0 else value / scale
    return -value if text.startswith("-") else value


def fill_inputs(request, definitions):
    """As `FillTensorMapFromInputsMap` of util/json_tensor.cc: the columnar format.

    Every named input must be there; others are passed over.
    """
    if "inputs" not in request:
        message = "Missing 'inputs' or 'instances' key"
        raise RefusedError("INVALID_ARGUMENT", message)
    given = request["inputs"]
    if not isinstance(given, dict) or _is_base64(given):
        if len(definitions) > 1:
            message = "inputs is a plain value/list, but expecting an object"
            raise RefusedError("INVALID_ARGUMENT", message)
        given = dict.fromkeys(definitions, given)
    tensors = {}
    for name, info in definitions.items():
        if name not in given:
            message = f"Missing named input: {name} in 'inputs' object."
            raise RefusedError("INVALID_ARGUMENT", message)
        tensors[name] = fill_tensor(given[name], tf.as_dtype(info.dtype))
    return tensors


def _is_base64(value):
    """As `IsValBase64Object` of util/json_tensor.cc."""
    return set(value) == {"b64"} and isinstance(value["b64"], str)


def fill_tensor(value, dtype):
    """As `GetDenseTensorShape` and `FillTensorProto` of util/json_tensor.cc."""
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    numpy_dtype = object if dtype == tf.string else dtype.as_numpy_dtype
    flat = list(_leaves(value, shape, dtype))
    tensor = np.empty(len(flat), numpy_dtype)
    tensor[:] = flat
    return tensor.reshape(shape)


def _leaves(value, shape, dtype):
    if not isinstance(value, list):
        if shape:
            message = f"JSON Value: {value} found at incorrect level"
            raise RefusedError("INVALID_ARGUMENT", message)
        yield _read_value(value, dtype)
        return
    if len(value) != (shape[0] if shape else None):
        message = f"Encountered list at unexpected size: {len(value)}"
        raise RefusedError("INVALID_ARGUMENT", message)
    for item in value:
        yield from _leaves(item, shape[1:], dtype)


def _read_value(value, dtype):
    """As `AddValueToTensor` of util/json_tensor.cc: no type is turned into another."""
    if dtype == tf.string and isinstance(value, dict) and _is_base64(value):
        return base64.b64decode(value["b64"])
    kinds = {
        tf.float32: (int, float),
        tf.float64: (int, float),
        tf.string: (str,),
        tf.bool: (bool,),
        **dict.fromkeys([tf.int64, tf.int32, tf.int16, tf.int8, tf.uint8], (int,)),
        **dict.fromkeys([tf.uint32, tf.uint64], (int,)),
    }
    if dtype not in kinds:
        message = f"Conversion of JSON Value: {value} to type: {dtype.name}"
        raise RefusedError("UNIMPLEMENTED", message)
    if type(value) not in kinds[dtype] or (
        dtype.is_integer and not _fits(value, dtype)
    ):
        message = f"JSON Value: {value} is not of expected type: {dtype.name}"
        raise RefusedError("INVALID_ARGUMENT", message)
    return value.encode() if dtype == tf.string else value


def _fits(value, dtype):
    return dtype.min <= value <= dtype.max


def json_of(outputs):
    """As `MakeColumnarFormatJsonFromTensors` of util/json_tensor.cc.

    A single output is not named. Names ending in `_bytes` mean base64, for text only.
    """
    texts = {
        name: write_values(values, values.dtype == object and name.endswith("_bytes"))
        for name, values in outputs.items()
    }
    if len(texts) == 1:
        return f'{{"outputs": {next(iter(texts.values()))}}}'
    named = ", ".join(f"{json.dumps(name)}: {text}" for name, text in texts.items())
    return f'{{"outputs": {{{named}}}}}'


def write_values(value, as_bytes):
    """As `AddTensorValues` of util/json_tensor.cc."""
    if isinstance(value, np.ndarray):
        return f"[{', '.join(write_values(item, as_bytes) for item in value)}]"
    if isinstance(value, np.floating):
        return write_decimal(value)
    if as_bytes:
        return json.dumps({"b64": base64.b64encode(value).decode()})
    return json.dumps(value.decode() if isinstance(value, bytes) else value.item())


def write_decimal(value):
    """As `WriteDecimal` of util/json_tensor.cc: float32 in 6 digits, or 9 if needed."""
    if not np.isfinite(value):
        return json.dumps(float(value))
    text = _SIX_DIGITS % value
    if np.float32(text) != value:
        text = _NINE_DIGITS % value
    return text if "." in text or "e" in text else f"{text}.0"
