"""What is no TensorFlow of Python, or no library of it, reads an export too."""

import subprocess
import sys

import numpy as np
import pytest
from small import build, some_inputs, some_tasks

import kmtl

pytestmark = pytest.mark.slow

X = some_inputs(5)


@pytest.fixture(scope="module")
def model():
    return build([*some_tasks(), kmtl.BinaryTask("later", condition_on=["click"])])


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    return kmtl.export_saved_model(model, tmp_path_factory.mktemp("exported"))


def test_openvino_computes_what_keras_does(model, path):
    openvino = pytest.importorskip("openvino", reason="needs kmtl[openvino]")
    # By default it computes in bfloat16 where the processor can.
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    network = openvino.Core().read_model(str(path))
    compiled = openvino.compile_model(network, "CPU", exact)
    results = compiled({"inputs": X})
    outputs = {name: v for o, v in results.items() for name in o.get_names()}
    expected = model.predict(X, verbose=0)
    assert set(expected) <= set(outputs)
    for name, values in expected.items():
        np.testing.assert_allclose(outputs[name], values, rtol=1e-5, atol=1e-6)


def saved_model_cli(*arguments):
    """Runs the program that comes with TensorFlow."""
    program = "from tensorflow.python.tools.saved_model_cli import main; main()"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_saved_model_cli_shows_the_signatures(path):
    shown = saved_model_cli("show", "--dir", path, "--all")
    assert "signature_def['serving_default']" in shown
    assert "inputs['inputs'] tensor_info" in shown
    assert "outputs['colour'] tensor_info" in shown


def test_saved_model_cli_runs_a_signature(model, path, tmp_path):
    np.save(tmp_path / "x.npy", X)
    saved_model_cli(
        *("run", "--dir", path, "--tag_set", "serve"),
        *("--signature_def", "serving_default"),
        *("--inputs", f"inputs={tmp_path / 'x.npy'}"),
        *("--outdir", tmp_path),
    )
    expected = model.predict(X, verbose=0)
    for name, values in expected.items():
        given = np.load(tmp_path / f"{name}.npy")
        np.testing.assert_allclose(given, values, rtol=1e-5, atol=1e-6)
