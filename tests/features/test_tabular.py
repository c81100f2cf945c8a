import copy
import json
import pickle

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from kmtl.features import TabularFeatures


def through_json(features):
    text = json.dumps(features.get_config(), allow_nan=False)
    return TabularFeatures.from_config(json.loads(text))


def assert_equal_encodings(one, other):
    assert one.keys() == other.keys()
    for key, array in one.items():
        np.testing.assert_array_equal(array, np.asarray(other[key]), strict=True)


@pytest.fixture
def features(frame):
    return TabularFeatures.from_frame(frame)


def test_kinds_are_found_from_types_and_values(features):
    assert [column.kind for column in features.columns] == [
        "numeric",
        "numeric",
        "boolean",
        "date",
        "categorical",
        "categorical",
        "text",
    ]


def test_the_serving_type_of_every_column_is_stated(features):
    assert features.serving_dtypes() == {
        "age": "float64",
        "gain": "float64",
        "member": "int64",
        "born": "float64",
        "city": "string",
        "code": "int64",
        "note": "string",
    }


def test_raw_inputs_have_the_serving_types_and_one_axis(features, frame):
    raw = features.raw_inputs(frame)
    assert {k: v.dtype.name for k, v in raw.items()} == features.serving_dtypes()
    assert {tuple(v.shape) for v in raw.values()} == {(60,)}


def test_encoded_arrays_are_compact(features, frame):
    encoded = features.encode(frame)
    assert {k: (v.shape, v.dtype.name) for k, v in encoded.items()} == {
        "numeric": ((60, 7), "float32"),  # 4 columns, 3 with missing values
        "categorical": ((60, 5), "int32"),  # city, code, gain, month, weekday
        "text": ((60, 1, 6), "int32"),
    }


def test_encoding_is_what_the_preprocessing_model_serves(features, frame):
    served = features.preprocessing_model()(features.raw_inputs(frame))
    assert_equal_encodings(features.encode(frame, batch_size=7), served)


def test_unseen_rows_are_encoded_as_served(features, frame):
    frame["city"] = "Atlantis"
    frame["code"] = 5
    frame["gain"] = np.nan
    frame["note"] = "???"
    served = features.preprocessing_model()(features.raw_inputs(frame))
    assert_equal_encodings(features.encode(frame), served)


def test_a_single_row_is_encoded_as_in_its_frame(features, frame):
    whole = features.encode(frame)
    row = features.encode(frame.iloc[[11]])
    assert_equal_encodings(row, {k: v[[11]] for k, v in whole.items()})


def test_json_keeps_the_features_exactly(features, frame):
    restored = through_json(features)
    assert restored == features
    assert_equal_encodings(restored.encode(frame), features.encode(frame))


def test_copies_and_pickles_are_equal(features, frame):
    features.encode(frame)
    assert copy.deepcopy(features) == features
    assert pickle.loads(pickle.dumps(features)) == features
    assert hash(copy.copy(features)) == hash(features)


def test_the_order_of_rows_changes_nothing(features, frame):
    shuffled = frame.sample(frac=1.0, random_state=1)
    assert TabularFeatures.from_frame(shuffled) == features
    expected = {k: v[shuffled.index] for k, v in features.encode(frame).items()}
    assert_equal_encodings(features.encode(shuffled), expected)


def test_extra_columns_are_ignored_and_order_is_free(features, frame):
    other = frame[reversed(frame.columns)].assign(extra=object())
    assert_equal_encodings(features.encode(other), features.encode(frame))


def test_the_frame_is_left_as_it_was(frame):
    before = frame.copy(deep=True)
    TabularFeatures.from_frame(frame).encode(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_encoded_inputs_match_the_encoded_arrays(features, frame):
    inputs = features.encoded_inputs()
    encoded = features.encode(frame)
    assert {k: (v.name, v.shape, v.dtype) for k, v in inputs.items()} == {
        k: (k, (None, *v.shape[1:]), v.dtype.name) for k, v in encoded.items()
    }


def test_only_used_keys_are_there():
    frame = pd.DataFrame({"city": ["Oslo", "Rome", "Rome"]})
    features = TabularFeatures.from_frame(frame)
    assert list(features.encode(frame)) == ["categorical"]
    assert list(features.encoded_inputs()) == ["categorical"]


def test_codes_are_below_the_sizes(features, frame):
    encoded = features.encode(frame)
    assert (encoded["categorical"].max(axis=0) < features.category_sizes).all()
    assert encoded["text"].max() < features.text_sizes[0]
    assert len(features.numeric_edges) == encoded["numeric"].shape[1]


@pytest.mark.parametrize("name", ["a b", "p.q", "x/y", "größe", "1", "", "numeric"])
def test_any_string_is_a_column_name(name):
    frame = pd.DataFrame({name: [1.0, 2.0], "x": ["a", "b"], f"{name}!": [True, False]})
    features = TabularFeatures.from_frame(frame)
    model = features.preprocessing_model()
    assert set(model.input) == {name, "x", f"{name}!"}
    assert features.encode(frame)["numeric"].shape == (2, 2)


def test_the_preprocessing_model_joins_another(features, frame):
    preprocessing = features.preprocessing_model()
    hidden = keras.layers.Dense(3)(preprocessing.output["numeric"])
    joined = keras.Model(preprocessing.input, hidden)
    assert joined(features.raw_inputs(frame)).shape == (60, 3)


# Keras forgets the names of inputs that are no names of layers, and goes by the keys.
@pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict")
def test_the_preprocessing_model_is_saved(features, frame, tmp_path):
    features.preprocessing_model().save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_equal_encodings(features.encode(frame), loaded(features.raw_inputs(frame)))


def test_the_preprocessing_model_exports(features, frame, tmp_path):
    model = features.preprocessing_model()
    model.export(tmp_path / "saved", verbose=False)
    serve = tf.saved_model.load(tmp_path / "saved").serve
    assert_equal_encodings(features.encode(frame), serve(features.raw_inputs(frame)))


def test_repr_names_columns_by_kind_and_no_vocabulary(features):
    assert repr(features) == (
        "TabularFeatures(numeric=['age', 'gain'], boolean=['member'], date=['born'], "
        "categorical=['city', 'code'], text=['note'])"
    )
