"""A test double of TensorFlow Serving's gRPC API; no part of kmtl, no server to use.

As model_servers/prediction_service_impl.cc and model_service_impl.cc of
https://github.com/tensorflow/serving (July 2026).
"""

import contextlib
from concurrent import futures

import grpc
import numpy as np
import tensorflow as tf
from serving_rules import RefusedError
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)


@contextlib.contextmanager
def grpc_double(served):
    """Serves models on a free port of this machine; yields the address.

    Args:
        served: A `ServedModels`.
    """
    # model_servers/server.cc: `SetMaxMessageSize` of the largest int32
    options = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(2), options=options)
    predictions, models = _Predictions(served), _Models(served)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        predictions, server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(models, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"grpc://127.0.0.1:{port}"
    finally:
        server.stop(grace=None).wait()


class _Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, served):
        self.served = served

    def Predict(self, request, context):  # noqa: N802 - named by the service
        with _refusals(context):
            spec = request.model_spec
            version, outputs = self.served.predict(
                spec.name,
                _version(spec),
                spec.signature_name,
                {name: tf.make_ndarray(t) for name, t in request.inputs.items()},
                request.output_filter,
            )
        response = predict_pb2.PredictResponse()
        response.model_spec.name = spec.name
        response.model_spec.version.value = version
        for name, values in outputs.items():
            response.outputs[name].CopyFrom(_as_proto_field(values))
        return response

    def GetModelMetadata(self, request, context):  # noqa: N802 - named by the service
        with _refusals(context):
            spec = request.model_spec
            _, session = self.served.session(spec.name, _version(spec))
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in session.signatures.items():
            signatures.signature_def[name].CopyFrom(definition)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(signatures)
        return response


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, served):
        self.served = served

    def GetModelStatus(self, request, context):  # noqa: N802 - named by the service
        with _refusals(context):
            states = self.served.states(request.model_spec.name)
        response = get_model_status_pb2.GetModelStatusResponse()
        for version, state, message in states:
            status = response.model_version_status.add(version=version, state=state)
            status.status.error_message = message
        return response


def _version(spec):
    return spec.version.value if spec.HasField("version") else None


@contextlib.contextmanager
def _refusals(context):
    try:
        yield
    except RefusedError as refused:
        context.abort(grpc.StatusCode[refused.code], refused.message)


def _as_proto_field(values):
    """As `AsProtoField`, the default: values one by one, not as raw bytes."""
    proto = tf.make_tensor_proto(values[:0])
    proto.tensor_shape.CopyFrom(tf.TensorShape(values.shape).as_proto())
    if values.dtype == object:
        proto.string_val.extend(values.ravel())
    else:
        proto.float_val.extend(np.ravel(values))
    return proto
