"""An export that does not compute what Keras does is given up."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small import build, some_inputs

import kmtl
from kmtl import AuxiliaryTask, BinaryTask, RegressionTask
from kmtl.export import _export
from kmtl.export._served import Served
from kmtl.export._signatures import signatures
from kmtl.export._verify import largest_error, verify


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


@keras.saving.register_keras_serializable(package="tests")
class Scale(keras.layers.Layer):
    """Forgets its factor when it is saved."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor

    def get_config(self):
        return super().get_config()


def model_with(layer):
    inputs = keras.Input((4,))
    trunk = keras.Model(inputs, layer(inputs))
    return build([BinaryTask("a")], trunk=trunk)


def test_another_result_than_in_keras(tmp_path):
    message = "'serving_default', 'a' must give what Keras computes. Received: values"
    with pytest.raises(RuntimeError, match=message):
        kmtl.export_saved_model(model_with(CountCalls()), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_loads_as_another_is_no_export(tmp_path):
    message = r"the same when it is loaded.*task 'a'.*`get_config`"
    with pytest.raises(RuntimeError, match=message):
        kmtl.export_saved_model(model_with(Scale(2.0)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_layers_that_call_python_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"which call Python.*`keras\.ops`"):
        kmtl.export_saved_model(model_with(CallPython()), tmp_path)
    assert list(tmp_path.iterdir()) == []


class Answers:
    """Answers as a session of an export does, but for one signature."""

    def __init__(self, offered, wrong, error=5e-5):
        self.offered = {signature.name: signature for signature in offered}
        self.wrong, self.error = wrong, error

    def run_all(self, requests):
        return {name: self.answer(name, given) for name, given in requests.items()}

    def answer(self, name, given):
        tensors = {key: tf.constant(values) for key, values in given.items()}
        outputs = self.offered[name].function(tensors)
        error = self.error if name == self.wrong else 0.0
        return {
            key: value.numpy() if value.dtype == tf.string else value.numpy() + error
            for key, value in outputs.items()
        }


SIGNATURES = [
    "serving_default",
    "labels",
    "representation",
    "serve_examples",
    "predict_a",
    "classify_a",
    "predict_b",
    "regress_b",
]


@pytest.fixture(scope="module")
def served():
    tasks = [
        BinaryTask("a"),
        RegressionTask("b", standardize=False),
        AuxiliaryTask(BinaryTask("hint")),
    ]
    return Served(build(tasks, sharing=kmtl.sharing.MMoE(experts=2)))


@pytest.fixture(scope="module")
def offered(served):
    options = {"top_k": 5, "representation": True, "description": {}}
    return signatures(served, ["a", "b"], **options)


def test_what_heads_see_is_told_by_task_where_each_has_its_own(served):
    x = some_inputs(3)
    seen = served.representation({"inputs": tf.constant(x)})
    assert seen.keys() == {"a", "b"}
    np.testing.assert_array_equal(seen["b"], served.model.encoder(x)[:, 1])


def test_answers_of_keras_are_taken(served, offered):
    session = Answers(offered, wrong=None)
    verify(served, offered, session, {"inputs": some_inputs(3)})
    assert [s.name for s in offered if s.name != "describe"] == SIGNATURES


@pytest.mark.parametrize("name", SIGNATURES)
def test_every_signature_is_compared(served, offered, name):
    session = Answers(offered, wrong=name)
    with pytest.raises(RuntimeError, match=f"signature '{name}', "):
        verify(served, offered, session, {"inputs": some_inputs(3)})


@pytest.mark.parametrize(
    ("values", "wanted", "error"),
    [
        ([0.5, 0.25], [0.5, 0.5], 0.25),
        ([250.0, 1.0], [200.0, 1.0], 0.25),
        ([np.nan, np.inf, 1.0], [np.nan, np.inf, 1.0], 0.0),
        ([np.nan], [1.0], np.nan),
        ([1.0], [np.nan], np.nan),
        ([np.inf], [1.0], np.inf),
        ([[0.5]], [0.5], np.inf),
        (np.ma.masked_values([9.0, 0.5], 9.0), [0.25, 0.25], 0.25),
    ],
)
def test_errors_are_of_the_largest_number_or_of_one(values, wanted, error):
    found = largest_error(np.ma.asanyarray(values), np.array(wanted))
    np.testing.assert_equal(found, error)


def test_errors_of_tiny_labels_are_of_their_scale():
    model = build([RegressionTask("age")])
    model.adapt_labels({"age": np.linspace(1e-9, 3e-9, 5)})
    served = Served(model)
    offered = signatures(served, [], top_k=5, representation=False, description={})
    session = Answers(offered, wrong="serving_default", error=1e-12)
    with pytest.raises(RuntimeError, match="signature 'serving_default', 'age'"):
        verify(served, offered, session, {"inputs": some_inputs(3)})


def test_a_warm_up_file_that_a_server_refuses_is_no_export(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_serving")

    def write_nonsense(version, *_):
        file = version / "assets.extra" / "tf_serving_warmup_requests"
        with tf.io.TFRecordWriter(str(file)) as writer:
            writer.write(b"")

    monkeypatch.setattr(_export, "write_warm_up", write_nonsense)
    model = build([BinaryTask("a")])
    with pytest.raises(ValueError, match=r"Record 0 of .*or a server does not load"):
        kmtl.export_saved_model(model, tmp_path, warm_up=some_inputs(3))
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
