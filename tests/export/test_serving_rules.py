"""What TensorFlow Serving requires of a SavedModel, as its sources say.

Read in https://github.com/tensorflow/serving at the commit of 2026-07-30; paths are
below `tensorflow_serving/`. Method names: `tensorflow/cc/saved_model/
signature_constants.h` of TensorFlow.
"""

import numpy as np
import pytest
from exported import ROWS

RAW = ["serving_default", "predict_rich", "predict_age", "labels", "representation"]
CLASSIFY = ["classify_rich", "classify_predict"]
REGRESS = ["regress_age"]
OF_EXAMPLES = ["serve_examples", *CLASSIFY, *REGRESS]
FLOAT, STRING = 1, 7  # `DataType` in TensorFlow's types.proto


@pytest.fixture(scope="module")
def examples(served, raw):
    return served.examples.serialize(raw)


@pytest.fixture(scope="module")
def answers(session, raw, examples):
    """What every signature gives for the same rows."""
    given = {name: session.run(name, raw) for name in RAW}
    given |= {name: session.run(name, {"inputs": examples}) for name in OF_EXAMPLES}
    given["describe"] = session.run("describe", {"inputs": np.zeros(ROWS, int)})
    return given


@pytest.mark.parametrize(
    ("names", "method"),
    [
        ([*RAW, "serve_examples", "describe"], "tensorflow/serving/predict"),
        (CLASSIFY, "tensorflow/serving/classify"),
        (REGRESS, "tensorflow/serving/regress"),
    ],
)
def test_method_names(session, names, method):
    # servables/tensorflow/{predict_util,classifier,regressor}.cc: checked by servers
    # started with --enable_signature_method_name_check.
    assert {session.signatures[name].method_name for name in names} == {method}


@pytest.mark.parametrize("name", CLASSIFY)
def test_classify_has_the_keys_and_types_of_classifier_cc(session, name):
    signature = session.signatures[name]
    assert {k: v.dtype for k, v in signature.inputs.items()} == {"inputs": STRING}
    kinds = {key: info.dtype for key, info in signature.outputs.items()}
    assert kinds == {"classes": STRING, "scores": FLOAT}


@pytest.mark.parametrize(("name", "classes"), [(CLASSIFY[0], 2), (CLASSIFY[1], 3)])
def test_classify_gives_every_class_for_every_row(answers, name, classes):
    # classifier.cc, PostProcessClassificationResult: both (rows, classes).
    shapes = {values.shape for values in answers[name].values()}
    assert shapes == {(ROWS, classes)}


def test_classify_names_the_classes_of_its_scores(answers, expected):
    classes, scores = (answers["classify_rich"][k] for k in ("classes", "scores"))
    np.testing.assert_array_equal(classes, np.tile([b"no", b"yes"], (ROWS, 1)))
    np.testing.assert_allclose(scores[:, 1:], expected["rich"], rtol=1e-5, atol=1e-5)


def test_regress_has_the_keys_shapes_and_types_of_regressor_cc(session, answers):
    signature = session.signatures["regress_age"]
    assert {k: v.dtype for k, v in signature.inputs.items()} == {"inputs": STRING}
    assert {k: v.dtype for k, v in signature.outputs.items()} == {"outputs": FLOAT}
    assert answers["regress_age"]["outputs"].shape == (ROWS, 1)


def test_tasks_of_one_multi_inference_have_tensors_of_their_own(session):
    # multi_inference.cc fetches all outputs by tensor name in one run, and tells tasks
    # apart by them.
    names = [*CLASSIFY, *REGRESS]
    outputs = [session.signatures[name].outputs.values() for name in names]
    tensors = [info.name for infos in outputs for info in infos]
    assert len(tensors) == len(set(tensors)) == 5


def test_every_output_has_the_rows_of_the_request(answers):
    # util/json_tensor.cc (row format) and batching/batching_session.cc.
    rows = {values.shape[0] for given in answers.values() for values in given.values()}
    assert rows == {ROWS}


@pytest.mark.parametrize("name", [*RAW, *OF_EXAMPLES, "describe"])
def test_the_batch_is_free_in_every_signature(session, name):
    # batching/batching_session.cc joins requests along the first dimension.
    signature = session.signatures[name]
    infos = [*signature.inputs.values(), *signature.outputs.values()]
    assert {info.tensor_shape.dim[0].size for info in infos} == {-1}


def test_numbers_are_float32_in_every_signature(answers):
    kinds = {
        values.dtype
        for given in answers.values()
        for values in given.values()
        if values.dtype != object
    }
    assert kinds == {np.dtype("float32")}


def test_a_version_is_a_folder_called_by_a_number(path):
    # sources/storage_path/file_system_storage_path_source.cc, ParseVersionNumber.
    assert path.name == "1"
    assert {"saved_model.pb", "variables"} <= {p.name for p in path.iterdir()}
