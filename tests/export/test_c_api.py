"""TensorFlow's C API, in a process without its Python, computes what Keras does.

`TF_LoadSessionFromSavedModel` is the loader of TensorFlow Serving behind a C function.
"""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from exported import raw_rows

import kmtl

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPT = BENCHMARKS / "_c_api.py"
FILES = SimpleNamespace(**runpy.run_path(str(BENCHMARKS / "_array_files.py")))
TASKS = ["rich", "predict", "age"]
OF_ROWS = ["serving_default", "labels", "representation"]
OF_EXAMPLES = ["serve_examples", "classify_rich", "classify_predict", "regress_age"]


def ask(version, requests, folder):
    """Runs signatures in a process of their own: `{signature: {key: array}}`, twice."""
    files = [folder / "requests.npz", folder / "answers.npz"]
    named = {f"{s}:{k}": x for s, arrays in requests.items() for k, x in arrays.items()}
    FILES.save_arrays(files[0], named)
    command = [sys.executable, str(SCRIPT), str(version), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = {signature: {} for signature in requests}
    for name, array in FILES.load_arrays(files[1]).items():
        signature, _, key = name.partition(":")
        answers[signature][key] = array
    return answers, json.loads(done.stdout)


def example(values):
    """Values by name as a serialised `tf.Example`, without those that are missing."""
    message = tf.train.Example()
    lists = {"S": "bytes_list", "i": "int64_list", "f": "float_list"}
    for name, value in values.items():
        array = np.ravel(value)
        if not (array == b"").all() and not pd.isna(array).any():
            kept = getattr(message.features.feature[name], lists[array.dtype.kind])
            kept.value.extend([value] if array.dtype.kind == "S" else array)
    return message.SerializeToString()


def examples(raw):
    rows = zip(*raw.values(), strict=True)
    serialized = [example(dict(zip(raw, row, strict=True))) for row in rows]
    return np.array(serialized, object)


def assert_close(values, wanted):
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, wanted, rtol=1e-5, atol=1e-5)


def assert_same_outputs(outputs, expected):
    assert outputs.keys() == expected.keys()
    for name, values in expected.items():
        assert_close(outputs[name], values)


@pytest.fixture(scope="module")
def asked(model, raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    version = kmtl.export_saved_model(model, folder, representation=True, top_k=2)
    kept = {**raw, "since": raw["since"].astype("int64")}
    of_rows = [*OF_ROWS, *(f"predict_{task}" for task in TASKS)]
    requests = {
        **dict.fromkeys(of_rows, raw),
        **{name: {"inputs": examples(kept)} for name in OF_EXAMPLES},
        "describe": {"inputs": np.zeros(3, "int64")},
    }
    return ask(version, requests, folder)


@pytest.fixture(scope="module")
def answers(asked):
    return asked[0]


@pytest.fixture(scope="module")
def definitions(asked):
    named = asked[1]["signatures"].items()
    return {name: s for name, s in named if not name.startswith("__")}


@pytest.mark.slow
def test_python_of_tensorflow_is_not_imported(asked):
    assert asked[1]["tensorflow_imported"] is False


@pytest.mark.slow
def test_every_signature_is_asked(answers, definitions):
    assert answers.keys() == definitions.keys()


@pytest.mark.slow
@pytest.mark.parametrize("signature", ["serving_default", "serve_examples"])
def test_all_tasks_equal_keras(answers, expected, signature):
    assert_same_outputs(answers[signature], expected)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_one_task_equals_keras(answers, expected, task):
    assert_same_outputs(answers[f"predict_{task}"], {task: expected[task]})


@pytest.mark.slow
def test_classes_of_a_binary_task_equal_keras(answers, expected):
    found = answers["classify_rich"]
    assert found["classes"].tolist() == [[b"no", b"yes"]] * len(expected["rich"])
    assert_close(found["scores"][:, 1:], expected["rich"])


@pytest.mark.slow
def test_classes_of_a_task_of_three_equal_keras(answers, expected):
    found = answers["classify_predict"]
    assert found["classes"][0].tolist() == [b"k1", b"k2", b"k3"]
    assert_close(found["scores"], expected["predict"])


@pytest.mark.slow
def test_a_regression_equals_keras(answers, expected):
    assert_same_outputs(answers["regress_age"], {"outputs": expected["age"]})


@pytest.mark.slow
def test_labels_are_those_of_keras(answers, model, frame, expected):
    labels, predicted = answers["labels"], model.predict_frame(frame)
    for task in ("rich", "predict"):
        likeliest = [name.decode() for name in labels[f"{task}/classes"][:, 0]]
        assert likeliest == predicted[task].tolist()
    best = np.sort(expected["predict"], axis=1)[:, :0:-1]
    assert_close(labels["predict/scores"], best)
    assert_close(labels["age"], expected["age"])


@pytest.mark.slow
def test_the_representation_equals_keras(answers, model, frame):
    wanted = model.encoder(model.features.encode(frame)).numpy()
    assert_same_outputs(answers["representation"], {"representation": wanted})


@pytest.mark.slow
def test_the_description_is_given_for_every_row(answers):
    told = [json.loads(text) for text in answers["describe"]["metadata"]]
    assert [[task["name"] for task in known["tasks"]] for known in told] == [TASKS] * 3


@pytest.mark.slow
def test_the_methods_are_those_of_a_server(definitions):
    methods = {name: s["method_name"].split("/")[-1] for name, s in definitions.items()}
    special = {"classify_rich": "classify", "classify_predict": "classify"}
    special["regress_age"] = "regress"
    assert methods == {**dict.fromkeys(definitions, "predict"), **special}


@pytest.mark.slow
def test_inputs_keep_the_names_of_their_columns(definitions, model):
    dtypes = model.features.serving_dtypes()
    inputs = definitions["serving_default"]["inputs"]
    assert {k: (v["dtype"], v["shape"]) for k, v in inputs.items()} == {
        name: (dtype, [-1]) for name, dtype in dtypes.items()
    }


def test_every_signature_of_images_equals_keras(tmp_path):
    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)).astype("uint8")
    task = kmtl.MulticlassTask("digit", classes=["three", "sieben"])
    model = kmtl.build_mtl_model(images, [task], trunk=kmtl.trunks.CNN([4]))
    version = kmtl.export_saved_model(model, tmp_path)
    of_rows = ["serving_default", "predict_digit", "labels"]
    of_examples = ["serve_examples", "classify_digit"]
    serialized = examples({"inputs": images.astype("int64")})
    requests = {
        **{name: {"inputs": images} for name in of_rows},
        **{name: {"inputs": serialized} for name in of_examples},
        "describe": {"inputs": np.zeros(1, "int64")},
    }
    answers, told = ask(version, requests, tmp_path)
    expected = model.predict(images, verbose=0)
    assert answers.keys() == told["signatures"].keys() - {"__saved_model_init_op"}
    for signature in ("serving_default", "serve_examples", "predict_digit"):
        assert_same_outputs(answers[signature], expected)
    assert_close(answers["classify_digit"]["scores"], expected["digit"])
    assert_close(
        answers["labels"]["digit/scores"], -np.sort(-expected["digit"], axis=1)
    )


def test_a_frame_with_strings_equals_keras(tmp_path):
    keras.utils.set_random_seed(0)
    cities = ["köln", "", "Rome", "a city with a name too long to be kept inline"]
    frame = pd.DataFrame({"city": cities * 3, "size": [1.5, np.nan, 0.0] * 4})
    tasks = [kmtl.BinaryTask("rich"), kmtl.RegressionTask("age", standardize=False)]
    features = kmtl.TabularFeatures.from_frame(frame)
    model = kmtl.build_mtl_model(features, tasks, trunk=kmtl.trunks.MLP([4]))
    model.compile(run_eagerly=True)
    version = kmtl.export_saved_model(model, tmp_path, task_signatures=False)
    requests = {"serving_default": raw_rows(model, frame)}
    answers, told = ask(version, requests, tmp_path)
    assert told["tensorflow_imported"] is False
    assert_same_outputs(answers["serving_default"], model.predict(frame, verbose=0))
