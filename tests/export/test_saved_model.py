"""A SavedModel computes what Keras does, and a server never sees half of one."""

import json
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from small import TRUNK, build, fit, some_inputs, some_labels, some_tasks

import kmtl
from kmtl import BinaryTask, MulticlassTask, RegressionTask
from kmtl.export._export import _with_signatures
from kmtl.export._saved_model_file import write_saved_model
from kmtl.export._session import Session
from kmtl.export._signatures import Signature


def served(path, **inputs):
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    outputs = signature(**{name: tf.constant(x) for name, x in inputs.items()})
    return {name: output.numpy() for name, output in outputs.items()}


def signature_of(path):
    return tf.saved_model.load(str(path)).signatures["serving_default"]


def assert_same(outputs, expected):
    assert set(outputs) == set(expected)
    for name, values in expected.items():
        assert outputs[name].dtype == np.float32
        np.testing.assert_allclose(outputs[name], values, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    tasks = [*some_tasks(), RegressionTask("age")]
    model = build(tasks)
    fit(model, some_inputs(), some_labels(tasks))
    return model


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    return kmtl.export_saved_model(model, tmp_path_factory.mktemp("exported"))


def test_a_saved_model_equals_keras(model, path):
    x = some_inputs()
    assert_same(served(path, inputs=x), model.predict(x, verbose=0))


@pytest.mark.parametrize("rows", [1, 2, 57])
def test_the_batch_may_have_any_size(model, path, rows):
    x = some_inputs(rows)
    assert_same(served(path, inputs=x), model.predict(x, verbose=0))


def test_outputs_are_named_by_task_and_of_float32(path):
    outputs = signature_of(path).structured_outputs
    assert {n: (s.shape[1], s.dtype) for n, s in outputs.items()} == {
        "click": (1, tf.float32),
        "colour": (3, tf.float32),
        "price": (1, tf.float32),
        "buy": (1, tf.float32),
        "age": (1, tf.float32),
    }


def test_inputs_by_name(tmp_path):
    inputs = {"left": (4,), "right": (2,)}
    model = build([BinaryTask("a")], inputs=inputs, trunk=TRUNK)
    x = {"left": some_inputs(5), "right": some_inputs(5)[:, :2]}
    path = kmtl.export_saved_model(model, tmp_path)
    assert_same(served(path, **x), model.predict(x, verbose=0))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_images_of_bytes_and_of_floats(tmp_path, dtype):
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1))
    images = images.astype(dtype) / (1 if dtype == "uint8" else np.float32(255))
    images = images.astype(dtype)
    model = build([MulticlassTask("digit", classes=4)], inputs=images, trunk=None)
    path = kmtl.export_saved_model(model, tmp_path)
    specs = signature_of(path).structured_input_signature[1]
    assert specs["inputs"].dtype == dtype
    assert_same(served(path, inputs=images), model.predict(images, verbose=0))


def test_a_head_a_pixel(tmp_path):
    head = keras.layers.Conv2D(1, 1)
    trunk = kmtl.trunks.CNN([4], pooling=None)
    model = build([BinaryTask("edge", head=head)], inputs=(6, 6, 1), trunk=trunk)
    x = np.random.default_rng(0).uniform(size=(2, 6, 6, 1)).astype("float32")
    path = kmtl.export_saved_model(model, tmp_path)
    assert_same(served(path, inputs=x), model.predict(x, verbose=0))


def test_outputs_are_float32_under_mixed_precision(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    model = build(some_tasks())
    keras.config.set_dtype_policy("float32")
    path = kmtl.export_saved_model(model, tmp_path)
    outputs = served(path, inputs=some_inputs())
    assert {output.dtype for output in outputs.values()} == {np.dtype("float32")}


@pytest.mark.usefixtures("in_float64")
def test_float64_models_serve_float32(tmp_path):
    path = kmtl.export_saved_model(build([BinaryTask("a")]), tmp_path)
    outputs = served(path, inputs=some_inputs())
    assert outputs["a"].dtype == np.float32


@pytest.mark.slow
def test_a_loaded_model_exports_the_same(model, path, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    other = kmtl.export_saved_model(loaded, tmp_path / "exported")
    expected = served(path, inputs=some_inputs())
    assert_same(served(other, inputs=some_inputs()), expected)


def test_only_models_of_kmtl_are_exported(tmp_path):
    with pytest.raises(TypeError, match="`model` must be an MTLModel"):
        kmtl.export_saved_model(keras.Sequential(), tmp_path)


@pytest.mark.parametrize(
    ("package", "extra", "options"),
    [
        ("tensorflow_serving", "serving", {"warm_up": some_inputs(3)}),
        ("tf2onnx", "onnx", {"onnx": True}),
    ],
)
def test_a_missing_extra_is_named_before_anything_is_written(
    tmp_path, monkeypatch, package, extra, options
):
    for module in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    folder = tmp_path / "exported"
    with pytest.raises(ImportError, match=rf"`pip install 'kmtl\[{extra}\]'`"):
        kmtl.export_saved_model(build([BinaryTask("a")]), folder, **options)
    assert not folder.exists()


def test_every_option_leaves_its_file(tmp_path):
    pytest.importorskip("tensorflow_serving", reason="needs kmtl[serving]")
    pytest.importorskip("tf2onnx", reason="needs kmtl[onnx]")
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"")
    version = kmtl.export_saved_model(
        build([BinaryTask("a")]),
        tmp_path,
        task_signatures=["a"],
        representation=True,
        warm_up=some_inputs(3),
        batching={"max_batch_size": 8},
        metrics={"a_auc": 0.75},
        onnx=True,
        keep=1,
    )
    known = json.loads((version / "assets.extra" / "kmtl.json").read_text("utf-8"))
    assert list(tmp_path.iterdir()) == [version]
    assert (version / "batching_params.pbtxt").is_file()
    assert {path.name for path in (version / "assets.extra").iterdir()} == {
        "kmtl.json",
        "README.md",
        "model.keras",
        "model.onnx",
        "tf_serving_warmup_requests",
    }
    assert known["metrics"] == {"a_auc": 0.75}
    assert set(known["signatures"]) >= {"predict_a", "classify_a", "representation"}


@pytest.mark.parametrize(("many", "by_default"), [(20, 20), (21, 0)])
def test_tasks_of_large_models_have_no_signatures_by_default(many, by_default):
    model = build([BinaryTask(f"task_{i}") for i in range(many)])
    assert len(_with_signatures(model, None)) == by_default
    assert len(_with_signatures(model, True)) == many


def test_unknown_label_statistics_are_not_exported(tmp_path):
    model = build([RegressionTask("age")])
    with pytest.raises(ValueError, match=r"`export_saved_model` needs .*\['age'\]"):
        kmtl.export_saved_model(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_names_that_python_or_a_graph_would_mix_up(tmp_path):
    names = ["self", "Age", "age", "INPUT_0", "input_3", "a b", "a.b"]
    inputs = dict.fromkeys(names, tf.TensorSpec((None,), tf.float32))
    write_saved_model(tmp_path / "1", [Signature("echo", inputs, dict)], [])
    given = {name: np.full(2, i, "float32") for i, name in enumerate(names)}
    with Session(tmp_path / "1") as session:
        assert {k: v[0] for k, v in session.run("echo", given).items()} == {
            name: i for i, name in enumerate(names)
        }


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (some_inputs(1_001), "from 1 to 1,000 rows"),
        (tf.data.Dataset.from_tensors(some_inputs()), "Received: a dataset"),
    ],
)
def test_a_warm_up_is_checked_before_anything_is_written(
    model, tmp_path, rows, message
):
    with pytest.raises((TypeError, ValueError), match=message):
        kmtl.export_saved_model(model, tmp_path / "exported", warm_up=rows)
    assert not (tmp_path / "exported").exists()


@keras.saving.register_keras_serializable("tests.export")
class WeightsOfCodes(keras.layers.Layer):
    """Looks codes up in a table that it keeps in a list, beside its weights."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        places = tf.lookup.KeyValueTensorInitializer([3, 7], [1, 2])
        self.tables = [tf.lookup.StaticHashTable(places, default_value=0)]
        self.kernel = self.add_weight(shape=(3, 4))

    def call(self, codes):
        return tf.gather(self.kernel, self.tables[0].lookup(codes))

    def compute_output_shape(self, input_shape):
        return (*input_shape, 4)


def test_tables_of_layers_with_weights_are_served(tmp_path):
    codes = keras.Input((), dtype="int32", name="code")
    model = build([BinaryTask("a")], inputs=codes, trunk=WeightsOfCodes())
    path = kmtl.export_saved_model(model, tmp_path)
    x = np.array([7, 3, 5], "int32")
    assert_same(served(path, code=x), model.predict(x, verbose=0))
