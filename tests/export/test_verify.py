"""An export that does not compute what Keras does is given up."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small import build, some_inputs

import kmtl
from kmtl import BinaryTask
from kmtl.export import _export


@keras.saving.register_keras_serializable(package="tests")
class CountCalls(keras.layers.Layer):
    """Gives other values each time it is run or traced: no graph can."""

    calls = 0

    def call(self, inputs):
        type(self).calls += 1
        return inputs * 0.0 + self.calls


@keras.saving.register_keras_serializable(package="tests")
class CallPython(keras.layers.Layer):
    """Leaves the graph, which only this process can."""

    def call(self, inputs):
        doubled = tf.numpy_function(lambda x: x * 2, [inputs], tf.float32)
        return tf.ensure_shape(doubled, (None, 4))

    def compute_output_shape(self, input_shape):
        return input_shape


def model_with(layer):
    inputs = keras.Input((4,))
    trunk = keras.Model(inputs, layer(inputs))
    return build([BinaryTask("a")], trunk=trunk)


def test_another_result_than_in_keras(tmp_path):
    message = "must give what Keras computes for task 'a'. Received: values that differ"
    with pytest.raises(RuntimeError, match=message):
        kmtl.export_saved_model(model_with(CountCalls()), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_layers_that_call_python_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"which call Python.*`keras\.ops`"):
        kmtl.export_saved_model(model_with(CallPython()), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_real_rows_are_checked_too(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_serving")
    checked = []
    monkeypatch.setattr(
        _export, "verify", lambda *given: checked.append(given[-1]["inputs"])
    )
    x = some_inputs(3)
    model = build([BinaryTask("a")])
    kmtl.export_saved_model(model, tmp_path, warm_up=x, task_signatures=False)
    np.testing.assert_array_equal(checked[1], x)
