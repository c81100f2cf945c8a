"""A model without a graph, for what the test doubles are to answer by hand."""

import json

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2


class StubSession:
    """Answers as a `kmtl.export._session.Session` of a model on one array.

    Args:
        classes: The classes of its one task, `kind`.
        predict: From the array to the probabilities `(rows, classes)`.
        dtype: The type of its input.
        shape: The shape of a row.
        key: The name of its input.
    """

    def __init__(self, classes, predict, *, dtype="float32", shape=(2,), key="inputs"):
        self.predict = predict
        self.key = key
        self.signatures = {
            "serving_default": _definition({key: dtype}, {"kind": "float32"}),
            "describe": _definition({"inputs": "int64"}, {"metadata": "string"}),
        }
        self.description = {
            "format": 1,
            "inputs": [{"name": key, "dtype": dtype, "shape": shape, "column": None}],
            "tasks": [{"name": "kind", "kind": "MulticlassTask", "classes": classes}],
        }

    def run(self, signature, inputs):
        if signature == "describe":
            text = json.dumps(self.description).encode()
            return {"metadata": np.array([text], object)}
        return {"kind": np.asarray(self.predict(inputs[self.key]), np.float32)}


def _definition(inputs, outputs):
    definition = meta_graph_pb2.SignatureDef()
    for types, tensors in ((inputs, definition.inputs), (outputs, definition.outputs)):
        for name, dtype in types.items():
            tensors[name].dtype = tf.as_dtype(dtype).as_datatype_enum
    return definition
