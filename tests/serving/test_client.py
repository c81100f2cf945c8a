"""What a client gets from a server is what the model says itself."""

import threading

import numpy as np
import pandas as pd
import pytest
from stub_session import StubSession

from kmtl.serving import Client


def assert_same(predicted, expected):
    """Classes, index, columns and dtypes are equal; numbers as far as float32 goes."""
    pd.testing.assert_frame_equal(predicted, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("probabilities", [False, True])
def test_a_frame_comes_back_as_from_the_model(client, model, frame, probabilities):
    expected = model.predict_frame(frame, probabilities=probabilities, verbose=0)
    assert_same(client.predict(frame, probabilities=probabilities), expected)


def test_arrays_come_back_as_from_the_model(client, model, frame):
    arrays, expected = client.predict_arrays(frame), model.predict(frame, verbose=0)
    assert list(arrays) == list(expected)
    for name, values in expected.items():
        assert arrays[name].dtype == np.float32
        np.testing.assert_allclose(arrays[name], values, rtol=1e-5, atol=1e-6)


def test_batches_do_not_matter(client, frame):
    assert_same(client.predict(frame, batch_size=7), client.predict(frame))


def test_one_row(client, frame):
    assert_same(client.predict(frame.iloc[[3]]), client.predict(frame).iloc[[3]])


def test_a_dict_of_columns(client, frame):
    expected = client.predict(frame).reset_index(drop=True)
    assert_same(client.predict(dict(frame.items())), expected)


def test_missing_values(client, model, frame):
    blank = frame.iloc[:3].assign(city=None, code=None, open=None, since=pd.NaT)
    blank[["hours per week", "price", "größe.cm", "said"]] = None
    assert_same(client.predict(blank), model.predict_frame(blank, verbose=0))


def test_one_task_alone(client, frame):
    alone = client.predict(frame, task="rich", probabilities=True)
    together = client.predict(frame, probabilities=True)
    assert_same(alone, together[["rich", "rich_50000+."]])


def test_a_task_without_a_signature(client, frame):
    message = r"must have the signature 'predict_age' .*'predict_rich'"
    with pytest.raises(ValueError, match=message):
        client.predict(frame, task="age")


def test_an_unknown_task(client, frame):
    with pytest.raises(ValueError, match=r"unknown task.*Did you mean 'rich'"):
        client.predict(frame, task="ritch")


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.drop(columns="city"),
        lambda frame: frame.assign(price="cheap"),
        lambda frame: frame.assign(city=1.5),
        lambda frame: frame.assign(code=0.5),
        lambda frame: frame.assign(price=np.inf),
        lambda frame: frame.assign(city=frame["city"].astype(object).fillna("\ud800")),
        lambda frame: frame.iloc[:0],
        lambda frame: frame["price"].to_numpy(),
    ],
)
def test_what_the_model_refuses_the_client_refuses_too(client, model, frame, change):
    wrong = change(frame)
    with pytest.raises((TypeError, ValueError)) as in_process:
        model.predict_frame(wrong, verbose=0)
    with pytest.raises(in_process.type) as over_the_wire:
        client.predict(wrong)
    assert str(over_the_wire.value) == str(in_process.value)


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, True])
def test_batches_have_rows(client, frame, batch_size):
    with pytest.raises(ValueError, match="`batch_size` must be a positive integer"):
        client.predict(frame, batch_size=batch_size)


def test_a_named_version(url, served, session, frame):
    served.models["census"] = {3: session, 12: session}
    with Client(url, "census", version=3) as client:
        assert len(client.predict(frame)) == len(frame)


def test_a_version_that_is_not_there(url, frame):
    message = r"must offer version 7.*1: 'AVAILABLE'"
    with (
        Client(url, "census", version=7) as client,
        pytest.raises(LookupError, match=message),
    ):
        client.predict(frame)


def test_a_model_that_is_not_there(url, frame):
    message = "cencus.*Could not find any versions of model cencus"
    with Client(url, "cencus") as client, pytest.raises(LookupError, match=message):
        client.predict(frame)


def test_a_version_that_failed_to_load(url, served, frame):
    served.models["census"] = {}
    served.loading = {2: ("END", "No space left on device")}
    message = "END: No space left on device"
    with Client(url, "census") as client, pytest.raises(LookupError, match=message):
        client.predict(frame)


def test_a_model_of_someone_else(url, served, frame):
    other = StubSession([1, 2], lambda x: x)
    del other.signatures["describe"]
    served.models["other"] = {1: other}
    message = r"'describe'.*`kmtl.export_saved_model`.*\['serving_default'\]"
    with Client(url, "other") as client, pytest.raises(ValueError, match=message):
        client.predict(frame)


@pytest.mark.parametrize("told", [{}, [1], "hello", {"format": 1, "inputs": [2]}])
def test_a_description_of_someone_else(url, served, told):
    other = StubSession([1, 2], lambda x: x)
    other.description = told
    served.models["other"] = {1: other}
    message = "'describe' must answer what `kmtl.export_saved_model` writes"
    with Client(url, "other") as client, pytest.raises(ValueError, match=message):
        client.predict(np.eye(2))


def test_an_export_of_a_newer_format(url, served):
    newer = StubSession([1, 2], lambda x: x)
    newer.description["format"] = 2
    served.models["newer"] = {1: newer}
    message = "exported by a newer kmtl: upgrade"
    with Client(url, "newer") as client, pytest.raises(ValueError, match=message):
        client.predict(np.eye(2))


def test_the_name_of_a_model_may_be_anything(url, served, session, frame):
    name = "a model/with: 100 % möglich?"
    served.models[name] = {1: session}
    with Client(url, name) as client:
        assert len(client.predict(frame)) == len(frame)


def test_a_new_version_with_the_same_columns(client, served, session, frame):
    before = client.predict(frame)
    served.models["census"] = {2: session}
    assert_same(client.predict(frame), before)


def test_the_version_stays_while_the_server_has_it(client, served, session, frame):
    before = client.predict(frame)
    served.models["census"] = {1: session, 2: StubSession(["a", "b"], lambda x: x)}
    assert_same(client.predict(frame), before)


def test_names_of_classes_are_those_of_the_version_that_answers(url, served):
    x = np.array([[0.9, 0.1], [0.2, 0.8]], "float32")
    served.models["kinds"] = {1: StubSession(["cat", "dog"], lambda x: x)}
    with Client(url, "kinds") as client:
        assert client.predict(x)["kind"].tolist() == ["cat", "dog"]
        served.models["kinds"] = {2: StubSession(["dog", "cat"], lambda x: x)}
        assert client.predict(x)["kind"].tolist() == ["dog", "cat"]


def test_all_batches_of_a_call_come_from_one_version(url, served):
    def last_answer(x):
        served.models["kinds"] = {2: StubSession(["dog", "cat"], lambda x: x)}
        return x

    served.models["kinds"] = {1: StubSession(["cat", "dog"], last_answer)}
    with Client(url, "kinds") as client:
        assert (
            client.predict(np.eye(2)[[0, 0, 0]], batch_size=1)["kind"].eq("dog").all()
        )


def test_a_new_version_that_takes_something_else(url, served):
    served.models["kinds"] = {1: StubSession([1, 2], lambda x: x)}
    with Client(url, "kinds") as client:
        client.predict(np.eye(2))
        wider = StubSession([1, 2, 3], lambda x: x, shape=(3,), key="pixels")
        served.models["kinds"] = {1: served.models["kinds"][1], 2: wider}
        assert client.predict({"pixels": np.eye(3)})["kind"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8"])
def test_arrays_are_sent_as_the_model_takes_them(url, served, dtype):
    stub = StubSession([5, 7], lambda x: x.reshape(-1, 2), dtype=dtype, shape=(1, 2, 1))
    served.models["kinds"] = {1: stub}
    x = np.array([[[[1], [0]]], [[[0], [1]]]], "uint8" if dtype == "uint8" else "int64")
    with Client(url, "kinds") as client:
        assert client.predict(x)["kind"].tolist() == [5, 7]
        assert client.predict({"inputs": x[..., 0]})["kind"].tolist() == [5, 7]


def test_arrays_that_do_not_fit(url, served, frame):
    served.models["kinds"] = {1: StubSession([1, 2], lambda x: x)}
    with Client(url, "kinds") as client:
        with pytest.raises(ValueError, match=r"must have shape \(rows, 2\)"):
            client.predict(np.eye(3))
        with pytest.raises(TypeError, match="`x` must be arrays"):
            client.predict(frame)
        with pytest.raises(ValueError, match="`x` must hold at least one row"):
            client.predict(np.zeros((0, 2)))


def test_predictions_that_are_no_numbers_come_back_as_they_are(url, served):
    served.models["kinds"] = {1: StubSession([1, 2], lambda x: x * [np.nan, np.inf])}
    with Client(url, "kinds") as client:
        found = client.predict_arrays(np.ones((1, 2)))["kind"]
    np.testing.assert_array_equal(found, np.float32([[np.nan, np.inf]]))


def test_float32_comes_back_to_the_last_bit(url, served):
    bits = np.random.default_rng(0).integers(0, 2**31 - 2**23, (500, 2), np.int32)
    served.models["kinds"] = {1: StubSession([1, 2], lambda _: bits.view("float32"))}
    with Client(url, "kinds") as client:
        found = client.predict_arrays(np.zeros((500, 2)))["kind"]
    np.testing.assert_array_equal(found.view(np.int32), bits)


def test_too_few_rows_are_no_answer(url, served):
    served.models["kinds"] = {1: StubSession([1, 2], lambda x: x[:1])}
    message = "for 3 rows of"
    with Client(url, "kinds") as client, pytest.raises(ConnectionError, match=message):
        client.predict(np.zeros((3, 2)))


def test_threads_share_a_client(client, frame):
    expected, found = client.predict(frame), []
    threads = [
        threading.Thread(target=lambda: found.append(client.predict(frame)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for predicted in found:
        assert_same(predicted, expected)


@pytest.mark.slow
def test_twenty_thousand_rows(client, model, frame):
    many = frame.sample(20_000, replace=True, random_state=0)
    expected = model.predict_frame(many, batch_size=8192, verbose=0)
    assert_same(client.predict(many, batch_size=4096), expected)
