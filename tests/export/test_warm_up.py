"""A server answers the warm-up requests of a version, or does not load it."""

import sys

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from exported import model_of, raw_rows, unusual_frame
from small import build, some_inputs

import kmtl
from kmtl.export import _warm_up
from kmtl.export._export import _real_rows
from kmtl.export._saved_model_file import write_saved_model
from kmtl.export._served import Served
from kmtl.export._session import Session
from kmtl.export._signatures import signatures
from kmtl.export._warm_up import MOST_RECORDS, replay_warm_up, write_warm_up
from kmtl.serving._description import description_of

pytest.importorskip("tensorflow_serving", reason="needs kmtl[serving]")
from tensorflow_serving.apis import prediction_log_pb2

ROWS = 5
RAW = {"inputs": some_inputs(ROWS)}


def exported(model, folder):
    """Writes a model; returns what is served of it and its signatures."""
    served = Served(model)
    found = signatures(
        served,
        model.task_names,
        top_k=5,
        representation=False,
        description=description_of(model),
    )
    resources = [model] if model.features is None else [model, served.preprocessing]
    write_saved_model(folder, found, resources)
    return served, found


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    """A written version: its folder, what is served, and its signatures."""
    tasks = [kmtl.BinaryTask("a"), kmtl.RegressionTask("b", standardize=False)]
    folder = tmp_path_factory.mktemp("exported") / "1"
    return folder, *exported(build(tasks), folder)


@pytest.fixture
def folder(version):
    return version[0]


@pytest.fixture(scope="module")
def session(version):
    with Session(version[0]) as session:
        yield session


@pytest.fixture
def records(version):
    """The records of a warm-up file, read as a server reads them."""
    write_warm_up(*version, RAW)
    return read(version[0])


def read(folder):
    file = folder / "assets.extra" / "tf_serving_warmup_requests"
    serialized = tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    return [prediction_log_pb2.PredictionLog.FromString(r) for r in serialized]


def write(folder, *records):
    file = folder / "assets.extra" / "tf_serving_warmup_requests"
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in records:
            writer.write(record.SerializeToString())


def signature_of(record):
    kind = record.WhichOneof("log_type")
    return kind, getattr(record, kind).request.model_spec.signature_name


@pytest.mark.parametrize("form", [pd.DataFrame, dict])
def test_rows_are_given_as_to_predict(served, frame, raw, form):
    found = _real_rows(served, form(frame))
    assert found.keys() == raw.keys()
    for name, values in raw.items():
        np.testing.assert_array_equal(found[name], values)


def test_every_signature_is_asked_about_one_row_and_about_all(records):
    asked = [signature_of(record) for record in records]
    assert (
        asked[::2]
        == asked[1::2]
        == [
            ("predict_log", "serving_default"),
            ("predict_log", "labels"),
            ("predict_log", "serve_examples"),
            ("predict_log", "predict_a"),
            ("classify_log", "classify_a"),
            ("predict_log", "predict_b"),
            ("regress_log", "regress_b"),
        ]
    )


def test_requests_hold_the_rows_that_were_given(records):
    one, all_rows = [r.predict_log.request.inputs["inputs"] for r in records[:2]]
    np.testing.assert_array_equal(tf.make_ndarray(one), RAW["inputs"][:1])
    np.testing.assert_array_equal(tf.make_ndarray(all_rows), RAW["inputs"])
    one, all_rows = [r.classify_log.request.input.example_list for r in records[8:10]]
    assert (len(one.examples), len(all_rows.examples)) == (1, ROWS)
    values = all_rows.examples[4].features.feature["inputs"].float_list.value
    np.testing.assert_array_equal(values, RAW["inputs"][4])


@pytest.mark.usefixtures("records")
def test_a_replay_answers_every_request(folder, session):
    assert replay_warm_up(folder, session) == 14


def test_a_single_row_is_asked_about_once(version, folder):
    write_warm_up(*version, {"inputs": RAW["inputs"][:1]})
    assert len(read(folder)) == 7


def test_no_more_is_written_than_a_server_reads(version, folder, monkeypatch):
    monkeypatch.setattr(_warm_up, "MOST_RECORDS", 3)
    write_warm_up(*version, RAW)
    assert [signature_of(r)[1] for r in read(folder)] == [
        "serving_default",
        "serving_default",
        "labels",
    ]


def test_no_more_is_taken_than_a_server_reads(records, folder, session):
    write(folder, *records[:1] * (MOST_RECORDS + 1))
    with pytest.raises(ValueError, match=r"at most 1,000 records. Received: 1,001"):
        replay_warm_up(folder, session)


@pytest.mark.parametrize("rows", [0, 1_001])
def test_rows_are_few(version, rows):
    with pytest.raises(ValueError, match="`warm_up` must have from 1 to 1,000 rows"):
        write_warm_up(*version, {"inputs": np.zeros((rows, 4))})


def refused(folder, session, record):
    """The words that refuse a file whose second record is this."""
    good = read(folder)[0]
    write(folder, good, record)
    with pytest.raises(ValueError, match=r"^Record 1 of .* must be a request") as error:
        replay_warm_up(folder, session)
    return str(error.value)


def test_a_record_for_no_signature_is_found(records, folder, session):
    records[0].predict_log.request.model_spec.signature_name = "serve"
    assert "signature 'serve'" in refused(folder, session, records[0])


def test_a_record_of_another_type_is_found(records, folder, session):
    wide = tf.make_tensor_proto(RAW["inputs"].astype("float64"))
    records[0].predict_log.request.inputs["inputs"].CopyFrom(wide)
    assert "{'inputs': 'float64'}" in refused(folder, session, records[0])


def test_a_record_of_another_shape_is_found(records, folder, session):
    wide = tf.make_tensor_proto(np.zeros((2, 9), "float32"))
    records[0].predict_log.request.inputs["inputs"].CopyFrom(wide)
    assert "(2, 9)" in refused(folder, session, records[0])


def test_a_record_without_an_input_is_found(records, folder, session):
    records[0].predict_log.request.inputs.clear()
    assert "inputs {};" in refused(folder, session, records[0])


@pytest.mark.usefixtures("records")
def test_a_record_that_no_server_replays_is_found(folder, session):
    record = prediction_log_pb2.PredictionLog()
    record.session_run_log.SetInParent()
    assert "session_run_log" in refused(folder, session, record)


def test_the_extra_is_named(version, monkeypatch):
    module = "tensorflow_serving.apis.prediction_log_pb2"
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install 'kmtl\[serving\]'"):
        write_warm_up(*version, RAW)


@pytest.mark.slow
def test_columns_of_every_kind(tmp_path):
    frame = unusual_frame()
    model = model_of(frame)
    served, found = exported(model, tmp_path / "1")
    write_warm_up(tmp_path / "1", served, found, raw_rows(model, frame))
    with Session(tmp_path / "1") as session:
        assert replay_warm_up(tmp_path / "1", session) == 18
