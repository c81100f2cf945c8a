"""`examples/serving`: what its scripts send is what its export answers.

No TensorFlow Serving runs here: the client asks the test doubles of this folder.
"""

import importlib
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from rest_double import fill_inputs
from scripts import ROOT, run_script
from serving_rules import ServedModels

from kmtl.export._session import Session

SCRIPTS = sorted((ROOT / "examples" / "serving").glob("*.sh"))
REQUESTS = re.findall(
    r'^ask (\w+) "([^"\n]+)" <<\'JSON\'\n(.*?)^JSON$',
    (ROOT / "examples" / "serving" / "request.sh").read_text(encoding="utf-8"),
    re.DOTALL | re.MULTILINE,
)


def run(script, *options):
    """Runs a script of the example as a user does; returns what it prints."""
    return run_script(f"examples/serving/{script}", *options)


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    run("export.py", "--rows=2000", "--epochs=1", f"--exports={folder}")
    return folder


@pytest.fixture(scope="module")
def session(exports):
    with Session(exports / "census" / "1") as session:
        yield session


def predict_inputs(body, signature):
    """As `FillPredictRequestFromJson` of util/json_tensor.cc."""
    if "inputs" in body:
        return fill_inputs(body, signature.inputs)
    rows = body["instances"]
    assert all(row.keys() == signature.inputs.keys() for row in rows)
    columns = {key: [row[key] for row in rows] for key in signature.inputs}
    return fill_inputs({"inputs": columns}, signature.inputs)


def example_inputs(body, _):
    """As `MakeExampleFromJsonObject` of util/json_tensor.cc."""
    examples = [tf.train.Example() for _ in body["examples"]]
    for example, row in zip(examples, body["examples"], strict=True):
        for key, value in row.items():
            feature = example.features.feature[key]
            if isinstance(value, str):
                feature.bytes_list.value.append(value.encode())
            elif isinstance(value, float):
                feature.float_list.value.append(value)
            else:
                feature.int64_list.value.append(value)
    return {"inputs": np.array([e.SerializeToString() for e in examples], object)}


READERS = {
    "predict": predict_inputs,
    "classify": example_inputs,
    "regress": example_inputs,
}


def test_the_requests_are_found():
    assert {verb for verb, _, _ in REQUESTS} == READERS.keys()
    assert len(REQUESTS) == 5


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shell_scripts_are_in_order(script):
    checker = shutil.which("shellcheck")
    command = ["bash", "-n"] if checker is None else [checker]
    subprocess.run([*command, script], check=True)
    assert "\nset -euo pipefail\n" in script.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("asked", REQUESTS, ids=lambda asked: asked[1])
def test_the_export_answers_what_curl_sends(session, asked):
    verb, _, text = asked
    body = json.loads(text)
    name = body.get("signature_name", "serving_default")
    signature = session.signatures[name]
    outputs = session.run(name, READERS[verb](body, signature))
    assert signature.method_name == f"tensorflow/serving/{verb}"
    assert {len(values) for values in outputs.values()} <= {1, 2}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rest", "grpc"])
def test_the_client_gets_what_the_model_predicts(exports, session, kind):
    pytest.importorskip("tensorflow_serving" if kind == "grpc" else "http")
    double = importlib.import_module(f"{kind}_double")
    served = ServedModels({"census": {1: session}})
    with getattr(double, f"{kind}_double")(served) as url:
        printed = run("client.py", f"--url={url}", f"--exports={exports}", "--rows=200")
    differences = re.findall(r"\de[-+]\d+", printed)
    assert max(map(float, differences)) < 1e-4
    assert len(differences) == 2
    assert "Classes are the same: True" in printed


@pytest.mark.slow
def test_the_export_is_all_that_a_server_needs(exports):
    config = (exports / "models.config").read_text()
    batching = (exports / "census" / "1" / "batching_params.pbtxt").read_text()
    assert 'base_path: "/models/census"' in config
    assert "max_batch_size { value: 256 }" in batching
