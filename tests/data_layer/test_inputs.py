"""Inputs of any form become arrays by input name, or an error says why not."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import kmtl
from kmtl.data._inputs import encode_inputs, rows_of

VECTOR = {"inputs": ((2,), "float32")}
IMAGE = {"inputs": ((4, 4, 1), "float32")}
PIXELS = {"inputs": ((4, 4, 1), "uint8")}
IDS = {"inputs": ((3,), "int32")}
TWO = {"image": ((4, 4, 1), "float32"), "table": ((2,), "float32")}


def encode(x, specs=VECTOR, features=None):
    return encode_inputs(x, specs, features)


@pytest.mark.parametrize(
    "x",
    [
        [[1, 0], [0, 1]],
        np.eye(2, dtype="float64"),
        np.eye(2, dtype="uint8"),
        np.eye(2, dtype="bool"),
        tf.eye(2),
        {"inputs": np.eye(2)},
        {"inputs": np.eye(2), "extra": ["a", "b"]},
    ],
)
def test_numbers_of_every_container_are_inputs(x):
    np.testing.assert_array_equal(encode(x)["inputs"], np.eye(2))


@pytest.mark.parametrize("specs", [IMAGE, PIXELS])
def test_grey_images_may_lack_their_last_axis(specs):
    x = np.zeros((3, 4, 4), specs["inputs"][1])
    assert encode(x, specs)["inputs"].shape == (3, 4, 4, 1)


def test_a_single_column_may_lack_its_axis():
    assert encode([1, 2, 3], {"inputs": ((1,), "float32")})["inputs"].shape == (3, 1)


def test_an_axis_may_be_of_any_length():
    specs = {"inputs": ((None, 3), "float32")}
    assert encode(np.zeros((2, 7, 3)), specs)["inputs"].shape == (2, 7, 3)


def test_large_finite_numbers_pass():
    assert encode([[1e308, 1e308]])["inputs"].shape == (1, 2)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_named_with_the_remedy(wrong):
    with pytest.raises(
        ValueError, match=r"finite. Received: .* at \(1, 0\) and 0 more"
    ):
        encode([[1.0, 2.0], [wrong, 3.0]])


@pytest.mark.parametrize(
    "x",
    [
        [["a", "b"]],
        np.array([["a", "b"]], object),
        [[None, 1.0]],
        np.array([[b"a", b"b"]]),
        np.array([["2024-01-01"] * 2], "datetime64[D]"),
        np.array([[1j, 1j]]),
        None,
    ],
)
def test_what_is_no_number_is_named_with_the_remedy(x):
    with pytest.raises(
        ValueError, match=r"must be numbers. Received: dtype=.* a DataFr"
    ):
        encode(x)


def test_rows_of_different_lengths_are_an_error():
    with pytest.raises(ValueError, match=r"rows of different lengths. Pad them"):
        encode([[1, 2], [3]])


@pytest.mark.parametrize("shape", [(3, 5), (3,), (3, 2, 1), ()])
def test_a_wrong_shape_is_an_error(shape):
    with pytest.raises(ValueError, match=r"shape \(rows, 2\). Received: shape="):
        encode(np.zeros(shape))


def test_pixels_in_a_float_input_name_the_remedy():
    with pytest.raises(
        ValueError, match=r"uint8 pixels .* dtype='uint8'\)`, or divide"
    ):
        encode(np.zeros((2, 4, 4, 1), "uint8"), IMAGE)


@pytest.mark.parametrize("specs", [PIXELS, IDS])
def test_floats_in_an_integer_input_are_an_error(specs):
    shape = (2, *specs["inputs"][0])
    with pytest.raises(ValueError, match=r"must be integers .* fractions would be cut"):
        encode(np.zeros(shape), specs)


@pytest.mark.parametrize("value", [256, -1])
def test_integers_that_do_not_fit_are_an_error(value):
    with pytest.raises(ValueError, match=r"from 0 to 255 \(uint8\). Received: "):
        encode(np.full((2, 4, 4, 1), value), PIXELS)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_integers_that_fit_pass(dtype):
    assert encode(np.ones((2, 3), dtype), IDS)["inputs"].shape == (2, 3)


def test_several_inputs_are_a_dict():
    arrays = encode({"table": np.zeros((5, 2)), "image": np.zeros((5, 4, 4))}, TWO)
    assert {k: v.shape for k, v in arrays.items()} == {
        "image": (5, 4, 4, 1),
        "table": (5, 2),
    }


@pytest.mark.parametrize("x", [np.zeros((5, 2)), [np.zeros((5, 2)), np.zeros((5, 16))]])
def test_several_inputs_without_names_are_an_error(x):
    with pytest.raises(ValueError, match=r"dict with the inputs \['image', 'table'\]"):
        encode(x, TWO)


def test_an_input_that_is_missing_is_an_error():
    x = {"tabel": np.zeros((5, 2)), "image": np.zeros((5, 4, 4))}
    with pytest.raises(
        ValueError, match=r"lacks the input 'table'. Did you mean 'tabel"
    ):
        encode(x, TWO)


def test_inputs_have_the_same_rows():
    x = {"table": np.zeros((5, 2)), "image": np.zeros((4, 4, 4))}
    with pytest.raises(ValueError, match=r"the same rows. .*'image': 4, 'table': 5"):
        encode(x, TWO)


def test_a_frame_in_a_model_of_arrays_is_an_error():
    with pytest.raises(
        TypeError, match=r"Build the model with `build_mtl_model\(frame"
    ):
        encode(pd.DataFrame({"a": [1]}))


def test_no_rows_are_an_error():
    with pytest.raises(ValueError, match="`x` must hold at least one row"):
        rows_of(encode(np.zeros((0, 2))))


@pytest.fixture(scope="module")
def table():
    return pd.DataFrame(
        {
            "age": [20.0, np.nan, 40.0, 20.0],
            "city": ["Rome", None, "Oslo", "Rome"],
            "member": [True, False, True, True],
        }
    )


@pytest.fixture(scope="module")
def features(table):
    return kmtl.TabularFeatures.from_frame(table, numeric=["age"])


def specs_of(features):
    return {k: (tuple(t.shape[1:]), t.dtype) for k, t in features._model.output.items()}


@pytest.mark.parametrize(
    "form",
    [
        lambda t: t,
        lambda t: t[["member", "city", "age"]].assign(extra="?"),
        lambda t: t.to_dict("series"),
        lambda t: t.to_dict("list"),
        lambda t: {name: t[name].to_numpy() for name in t},
        lambda t: {name: t[name].to_numpy()[:, np.newaxis] for name in t},
        lambda t: {n: t[n].sort_index(ascending=False)[::-1] for n in t},
        lambda t: t.set_axis([5, 5, 5, 5]),
        lambda t: t.set_axis(pd.MultiIndex.from_product([[0, 1], [0, 1]])),
        lambda t: t.convert_dtypes(),
    ],
)
def test_a_table_may_come_in_any_form(table, features, form):
    expected = features.encode(table)
    found = encode(form(table), specs_of(features), features)
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array)


def test_a_table_may_be_the_tensors_of_serving(table, features):
    expected = features.encode(table)
    found = encode(features.raw_inputs(table), specs_of(features), features)
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array)


def test_a_table_may_be_encoded_already(table, features):
    encoded = features.encode(table)
    found = encode(encoded, specs_of(features), features)
    for key, array in encoded.items():
        assert found[key] is array


def test_a_table_that_lacks_a_column_is_an_error(table, features):
    wrong = table.rename(columns={"city": "cty"})
    with pytest.raises(
        ValueError, match=r"lacks the column 'city'.* Did you mean 'cty'"
    ):
        encode(wrong, specs_of(features), features)


def test_a_number_where_text_was_is_an_error(table, features):
    with pytest.raises(
        TypeError, match=r"Column 'city' must hold strings. Received: 1"
    ):
        encode(table.assign(city=1), specs_of(features), features)


def test_text_where_a_number_was_is_an_error(table, features):
    with pytest.raises(
        TypeError, match=r"Column 'age' must hold numbers. Received: 'old"
    ):
        encode(table.assign(age="old"), specs_of(features), features)


def test_columns_of_a_dict_have_the_same_rows(features):
    wrong = {"age": [1.0], "city": ["Rome", "Oslo"], "member": [True]}
    with pytest.raises(ValueError, match=r"the same rows. .*'age': 1, 'city': 2"):
        encode(wrong, specs_of(features), features)


@pytest.mark.parametrize("city", ["Rome", [["Rome", "Oslo"]]])
def test_a_column_of_a_dict_is_one_value_a_row(features, city):
    wrong = {"age": [1.0], "city": city, "member": [True]}
    with pytest.raises(
        ValueError, match=r"Column 'city' must be one value a row. Recei"
    ):
        encode(wrong, specs_of(features), features)


@pytest.mark.parametrize("x", [np.zeros((4, 3)), [{"age": 1}], None, "frame"])
def test_a_table_is_a_frame_or_a_dict(features, x):
    with pytest.raises(TypeError, match="`x` must be a DataFrame or a dict of columns"):
        encode(x, specs_of(features), features)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t: t.iloc[:0], ValueError, "at least one row"),
        (lambda t: t.set_axis([0, 1, 2], axis=1), TypeError, "strings as names. .* 0."),
        (lambda t: t.set_axis(["age", "city", "city"], axis=1), ValueError, "distinct"),
    ],
)
def test_a_frame_of_wrong_form_is_an_error(table, features, change, error, message):
    with pytest.raises(error, match=message):
        encode(change(table), specs_of(features), features)
