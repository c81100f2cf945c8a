"""ONNX Runtime computes what Keras does, from the files of an export alone."""

import json
import re
import sys
import unicodedata

import keras
import numpy as np
import pytest
from small import build, some_inputs, some_tasks

import kmtl
from kmtl import sharing
from kmtl.export._onnx import _compare, write_onnx

pytest.importorskip("tf2onnx", reason="needs kmtl[onnx]")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs kmtl[onnx]")

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1)).astype("uint8")


def run(folder, inputs):
    """Runs a file as those do who have nothing else."""
    file = folder / "assets.extra" / "model.onnx"
    session = onnxruntime.InferenceSession(str(file))
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def assert_same(outputs, expected):
    assert set(outputs) == set(expected)
    for name, values in expected.items():
        assert outputs[name].dtype == np.float32
        np.testing.assert_allclose(outputs[name], values, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    write_onnx(model, folder)
    return folder


@pytest.fixture(scope="module")
def preprocessing(folder):
    return json.loads(
        (folder / "assets.extra" / "preprocessing.json").read_text("utf-8")
    )


def test_a_model_of_a_table(model, frame, folder):
    outputs = run(folder, model.features.encode(frame))
    assert_same(outputs, model.predict(frame, verbose=0))


@pytest.mark.parametrize("rows", [1, 2, 57])
def test_the_batch_may_have_any_size(model, frame, folder, rows):
    outputs = run(folder, model.features.encode(frame.head(rows)))
    assert_same(outputs, model.predict(frame.head(rows), verbose=0))


def rule(name, column, value):
    """One number of an encoded array, by the words of `preprocessing.json`."""
    vocabulary = list(column.get("vocabulary", ()))
    known = {v: 2 + place for place, v in enumerate(column.get("values") or vocabulary)}
    missing = value in ("", -(2**63)) or value != value
    rules = {
        "standardized": lambda: (value - column["center"]) / column["scale"],
        "indicator": lambda: 0.0,
        "category": lambda: known.get(value, 1),
        "number": lambda: known.get(value, 1),
        "month": lambda: (
            1 + np.datetime64(int(value), "s").astype("M8[M]").astype(int) % 12
        ),
        "weekday": lambda: 1 + (int(value) // 86_400 + 3) % 7,
        "hour": lambda: 1 + int(value) // 3_600 % 24,
    }
    return float(name == "indicator") if missing else rules[name]()


def words(column, text, length):
    """The codes of a text, by the words of `preprocessing.json`."""
    kept = re.sub("['\u2019]", "", text.lower())
    spaced = "".join(" " if unicodedata.category(c)[0] in "PS" else c for c in kept)
    places = {word: 2 + place for place, word in enumerate(column["vocabulary"])}
    codes = [places.get(word, 1) for word in spaced.split()[: column["tokens"]]]
    return codes + [0] * (length - len(codes))


def test_the_encoding_can_be_done_without_tensorflow(model, frame, preprocessing):
    columns = {column["name"]: column for column in preprocessing["columns"]}
    raw = {k: v.numpy().tolist() for k, v in model.features.raw_inputs(frame).items()}
    raw = {
        k: [x.decode() if isinstance(x, bytes) else x for x in v]
        for k, v in raw.items()
    }
    raw["input_1"] = [np.nan if x < 0 else float(x) for x in raw["input_1"]]
    arrays, encoded = preprocessing["arrays"], model.features.encode(frame)
    length = arrays["text"]["shape"][-1]
    assert set(arrays) == {"numeric", "categorical", "text"}
    for row in range(len(frame)):
        for name in ("numeric", "categorical"):
            ours = [
                rule(e["rule"], columns[e["column"]], raw[e["column"]][row])
                for e in arrays[name]["order"]
            ]
            np.testing.assert_allclose(ours, encoded[name][row], rtol=1e-6, atol=1e-7)
        ours = [
            words(columns[e["column"]], raw[e["column"]][row], length)
            for e in arrays["text"]["order"]
        ]
        np.testing.assert_array_equal(ours, encoded["text"][row])


def test_every_rule_that_is_used_is_told(preprocessing):
    orders = [array["order"] for array in preprocessing["arrays"].values()]
    used = {entry["rule"] for order in orders for entry in order}
    assert used == set(preprocessing["rules"])
    assert "class" in {column["name"] for column in preprocessing["columns"]}


def test_inputs_by_name(tmp_path):
    model = build([kmtl.BinaryTask("a.b-c")], inputs={"left": (4,), "right": (2,)})
    write_onnx(model, tmp_path)
    x = {"left": some_inputs(5), "right": some_inputs(5)[:, :2]}
    assert_same(run(tmp_path, x), model.predict(x, verbose=0))
    assert not (tmp_path / "assets.extra" / "preprocessing.json").exists()


@pytest.mark.slow
def test_images_of_bytes(tmp_path):
    model = build([kmtl.MulticlassTask("digit", classes=4)], inputs=IMAGES, trunk=None)
    write_onnx(model, tmp_path)
    assert_same(run(tmp_path, {"inputs": IMAGES}), model.predict(IMAGES, verbose=0))


def test_other_precision_is_refused(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    model = build([kmtl.BinaryTask("a")])
    keras.config.set_dtype_policy("float32")
    with pytest.raises(ValueError, match=r"computes in float32. .* \['float16'\]"):
        write_onnx(model, tmp_path)


@keras.saving.register_keras_serializable(package="tests")
class Factorial(keras.layers.Layer):
    """An operation that ONNX lacks."""

    def call(self, x):
        import tensorflow as tf  # noqa: PLC0415

        return tf.math.lgamma(x)


def test_an_operation_that_onnx_lacks_is_named(tmp_path):
    model = build([kmtl.BinaryTask("a")], trunk=Factorial())
    with pytest.raises(ValueError, match=r"(?s)cannot be written as ONNX.*Lgamma"):
        write_onnx(model, tmp_path)


@pytest.mark.slow
def test_constants_outside_the_file_are_found(tmp_path):
    layer = keras.layers.Normalization(mean=[0.0] * 4, variance=[4.0] * 4)
    model = build([kmtl.BinaryTask("a")], trunk=layer)
    with pytest.raises(ValueError, match="constants of a layer such as"):
        write_onnx(model, tmp_path)


@pytest.mark.parametrize("values", [[[0.5, 0.2]], [[0.5], [0.2]], [[0.5, np.nan]]])
def test_a_file_that_computes_something_else_is_refused(values):
    wanted = np.array([[0.5, 0.20002]])
    with pytest.raises(
        RuntimeError, match="must give what Keras computes for task 'a'"
    ):
        _compare("a", np.array(values), wanted)


def test_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'kmtl\[onnx\]'"):
        write_onnx(build([kmtl.BinaryTask("a")]), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", sharing.__all__)
def test_every_sharing(name, tmp_path):
    tasks = [*some_tasks(), kmtl.BinaryTask("later", condition_on=["click", "price"])]
    trunk = kmtl.trunks.MLP([8, 8])
    model = build(tasks, trunk=trunk, sharing=getattr(sharing, name)())
    write_onnx(model, tmp_path)
    x = some_inputs()
    assert_same(run(tmp_path, {"inputs": x}), model.predict(x, verbose=0))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["CrossStitch", "MTAN", "MMoE"])
def test_sharing_of_images(name, tmp_path):
    tasks = [kmtl.MulticlassTask("digit", classes=4), kmtl.BinaryTask("even")]
    trunk, how = kmtl.trunks.CNN([4, 4]), getattr(sharing, name)()
    model = build(tasks, inputs=IMAGES, trunk=trunk, sharing=how)
    write_onnx(model, tmp_path)
    assert_same(run(tmp_path, {"inputs": IMAGES}), model.predict(IMAGES, verbose=0))
