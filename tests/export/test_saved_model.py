"""A SavedModel computes what Keras does, and a server never sees half of one."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from small import TRUNK, build, fit, some_inputs, some_labels, some_tasks

import kmtl
from kmtl import BinaryTask, MulticlassTask, RegressionTask


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


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=60),
            "count": rng.integers(0, 9, 60),
            "city": rng.choice(["Rome", "Oslo", None], 60),
            "open": rng.random(60) > 0.5,
            "since": pd.date_range("2020-01-01", periods=60),
        }
    )
    frame.loc[::7, "size"] = np.nan
    frame["rich"] = np.where(frame["count"] > 4, "yes", "no")
    frame["age"] = rng.normal(40.0, 10.0, 60)
    return frame


def test_raw_columns_of_a_frame(tmp_path, frame):
    tasks = [BinaryTask("rich", positive="yes"), RegressionTask("age")]
    model = kmtl.build_mtl_model(frame, tasks, trunk=TRUNK)
    model.compile(run_eagerly=True)
    path = kmtl.export_saved_model(model, tmp_path)
    columns = model.features.raw_inputs(frame)
    outputs = signature_of(path)(**columns)
    outputs = {name: output.numpy() for name, output in outputs.items()}
    assert set(columns) == {"size", "count", "city", "open", "since"}
    assert_same(outputs, model.predict(frame, verbose=0))


def test_outputs_are_float32_under_mixed_precision(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    model = build(some_tasks())
    path = kmtl.export_saved_model(model, tmp_path)
    keras.config.set_dtype_policy("float32")
    outputs = served(path, inputs=some_inputs())
    assert {output.dtype for output in outputs.values()} == {np.dtype("float32")}


def test_float64_models_serve_float32(tmp_path):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    model = build([BinaryTask("a")])
    path = kmtl.export_saved_model(model, tmp_path)
    outputs = served(path, inputs=some_inputs())
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    assert outputs["a"].dtype == np.float32


def test_a_loaded_model_exports_the_same(model, path, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    other = kmtl.export_saved_model(loaded, tmp_path / "exported")
    expected = served(path, inputs=some_inputs())
    assert_same(served(other, inputs=some_inputs()), expected)


def test_only_models_of_kmtl_are_exported(tmp_path):
    with pytest.raises(TypeError, match="`model` must be an MTLModel"):
        kmtl.export_saved_model(keras.Sequential(), tmp_path)


def test_a_file_is_no_folder(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="`folder` must be a folder"):
        kmtl.export_saved_model(model, tmp_path / "file")


def test_unknown_label_statistics_are_not_exported(tmp_path):
    model = build([RegressionTask("age")])
    with pytest.raises(ValueError, match=r"`export_saved_model` needs .*\['age'\]"):
        kmtl.export_saved_model(model, tmp_path)
    assert list(tmp_path.iterdir()) == []
