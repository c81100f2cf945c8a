"""TensorFlow Serving's gRPC API, by `tensorflow-serving-api`."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult

import numpy as np
import tensorflow as tf

from kmtl.serving._errors import refusal
from kmtl.serving._transport import Transport

_DEFAULT_PORT = 8500

# What TensorFlow Serving answers by REST: `ToHTTPStatusCode` of its `http_server.cc`.
_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),  # 4 MB otherwise
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),  # as with REST, the address is where it goes
]


class GrpcTransport(Transport):
    """Speaks gRPC over one channel.

    Args:
        address: Scheme, host and port of the server.
        model: The name of the model.
        timeout: Seconds to wait for an answer.

    Raises:
        ImportError: If `tensorflow-serving-api` is not installed.
    """

    def __init__(self, address: SplitResult, model: str, timeout: float) -> None:
        self._apis = _Apis()
        self._model = model
        self._timeout = timeout
        port = "" if address.port else f":{_DEFAULT_PORT}"
        target = f"{address.netloc}{port}"
        super().__init__(f"{address.scheme}://{target} (model {model!r})")
        self._channel = self._apis.channel(target, secure=address.scheme == "grpcs")
        self._models = self._apis.models.ModelServiceStub(self._channel)
        self._predictions = self._apis.predictions.PredictionServiceStub(self._channel)

    def states(self) -> dict[int, str]:
        """See the base class; `ModelService.GetModelStatus`."""
        request = self._apis.status.GetModelStatusRequest()
        request.model_spec.name = self._model
        answer = self._ask(self._models.GetModelStatus, request)
        name = self._apis.status.ModelVersionStatus.State.Name
        return {
            version.version: ": ".join(
                filter(None, [name(version.state), version.status.error_message])
            )
            for version in answer.model_version_status
        }

    def signatures(self, version: int) -> list[str]:
        """See the base class; `PredictionService.GetModelMetadata`."""
        request = self._apis.metadata.GetModelMetadataRequest()
        self._choose(request, version)
        request.metadata_field.append("signature_def")
        answer = self._ask(self._predictions.GetModelMetadata, request)
        signatures = self._apis.metadata.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        return sorted(signatures.signature_def)

    def predict(
        self,
        version: int,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
    ) -> dict[str, np.ndarray]:
        """See the base class; `PredictionService.Predict`."""
        request = self._apis.prediction.PredictRequest()
        self._choose(request, version)
        request.model_spec.signature_name = signature
        request.output_filter.extend(outputs)
        for name, values in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
        answer = self._ask(self._predictions.Predict, request)
        return {name: tf.make_ndarray(t) for name, t in answer.outputs.items()}

    def close(self) -> None:
        """Closes the channel for good."""
        self._channel.close()

    def _choose(self, request: Any, version: int) -> None:
        request.model_spec.name = self._model
        request.model_spec.version.value = version

    def _ask(self, method: Any, request: Any) -> Any:
        try:
            return method(request, timeout=self._timeout)
        except self._apis.grpc.RpcError as error:
            code = error.code().name
            text = error.details() or ""
            raise refusal(_STATUS.get(code, 500), code, text, self.name) from error


class _Apis:
    """The packages of the extra, imported when they are needed."""

    def __init__(self) -> None:
        try:
            import grpc  # noqa: PLC0415 - an extra
            from tensorflow_serving.apis import (  # noqa: PLC0415 - an extra
                get_model_metadata_pb2,
                get_model_status_pb2,
                model_service_pb2_grpc,
                predict_pb2,
                prediction_service_pb2_grpc,
            )
        except ImportError as error:
            raise ImportError(
                "`grpc://` needs TensorFlow Serving's API: pip install "
                f"'kmtl[serving]', or use REST, `http://`. Received: {error}."
            ) from error
        self.grpc: Any = grpc
        self.metadata: Any = get_model_metadata_pb2
        self.status: Any = get_model_status_pb2
        self.models: Any = model_service_pb2_grpc
        self.prediction: Any = predict_pb2
        self.predictions: Any = prediction_service_pb2_grpc

    def channel(self, target: str, *, secure: bool) -> Any:
        if not secure:
            return self.grpc.insecure_channel(target, _OPTIONS)
        credentials = self.grpc.ssl_channel_credentials()
        return self.grpc.secure_channel(target, credentials, _OPTIONS)
