"""Labels of every container and dtype become the same floats."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import kmtl
from kmtl.data._labels import encode_labels

NAN = float("nan")
BINARY = kmtl.BinaryTask("t")
TEXT = kmtl.BinaryTask("t", positive="yes")
DIGIT = kmtl.MulticlassTask("t", classes=3)
CITY = kmtl.MulticlassTask("t", classes=["Rome", "Oslo"])
NUMBER = kmtl.RegressionTask("t")


def encode(task, values, shape=()):
    return encode_labels(task, values, shape)


def ids(value):
    return f"{type(value).__name__}-{getattr(value, 'dtype', '')}"


COMPLETE = [0, 1, 1]
ZEROS_AND_ONES = [
    [0, 1, 1],
    (0, 1, 1),
    [False, True, True],
    [0.0, 1.0, 1.0],
    [[0], [1], [1]],
    np.array(COMPLETE, "int8"),
    np.array(COMPLETE, "uint8"),
    np.array(COMPLETE, "uint64"),
    np.array(COMPLETE, "float16"),
    np.array(COMPLETE, "float32"),
    np.array(COMPLETE, "bool"),
    np.array(COMPLETE, object),
    np.array(COMPLETE)[:, np.newaxis],
    np.array([False, True, 1.0], object),
    pd.Series(COMPLETE, index=[7, 7, 9]),
    pd.Series(COMPLETE, dtype="bool"),
    pd.Series(COMPLETE, dtype="object"),
    pd.Series(COMPLETE, dtype="category"),
    pd.Series(COMPLETE, dtype="boolean"),
    pd.Series(COMPLETE, dtype="Int64"),
    pd.Series(COMPLETE, dtype="Float64"),
    pd.Index(COMPLETE),
    pd.Categorical(COMPLETE),
    pd.array(COMPLETE, dtype="Int64"),
    pd.DataFrame({"any name": COMPLETE}),
    tf.constant(COMPLETE),
    tf.constant(COMPLETE, tf.float16),
    tf.constant([False, True, True]),
    tf.Variable([[0], [1], [1]]),
]


@pytest.mark.parametrize("values", ZEROS_AND_ONES, ids=ids)
def test_zeros_and_ones_of_every_container_are_binary_labels(values):
    np.testing.assert_array_equal(encode(BINARY, values), [0, 1, 1])


@pytest.mark.parametrize("values", ZEROS_AND_ONES, ids=ids)
def test_zeros_and_ones_of_every_container_are_class_ids(values):
    np.testing.assert_array_equal(encode(DIGIT, values), [0, 1, 1])


@pytest.mark.parametrize("values", ZEROS_AND_ONES, ids=ids)
def test_zeros_and_ones_of_every_container_are_numbers(values):
    np.testing.assert_array_equal(encode(NUMBER, values), [0, 1, 1])


WITH_GAP = [
    [0, None, 1],
    [0, NAN, 1],
    [0, pd.NA, 1],
    [False, None, True],
    [False, NAN, True],
    [False, pd.NaT, True],
    np.array([0, NAN, 1], "float16"),
    np.array([0, None, 1], object),
    np.array([False, None, True], object),
    pd.Series([0, None, 1]),
    pd.Series([0, None, 1], dtype="object"),
    pd.Series([0, None, 1], dtype="category"),
    pd.Series([0, None, 1], dtype="boolean"),
    pd.Series([0, None, 1], dtype="Int64"),
    pd.Series([0, None, 1], dtype="Float64"),
    pd.array([0, None, 1], dtype="Int64"),
    pd.Categorical([0, None, 1]),
    pd.DataFrame({"t": [0, None, 1]}),
    tf.constant([0.0, NAN, 1.0]),
]


@pytest.mark.parametrize(
    "task", [BINARY, DIGIT, NUMBER], ids=lambda t: type(t).__name__
)
@pytest.mark.parametrize("values", WITH_GAP, ids=ids)
def test_a_missing_label_of_any_kind_is_nan(task, values):
    np.testing.assert_array_equal(encode(task, values), [0, NAN, 1])


YES_AND_NO = [
    ["no", None, "yes"],
    ["no", NAN, "yes"],
    ["no", pd.NA, "yes"],
    ("no", None, "yes"),
    [["no"], [NAN], ["yes"]],
    [b"no", None, b"yes"],
    [b"no", NAN, b"yes"],
    np.array(["no", None, "yes"], object),
    np.array(["no", NAN, "yes"], np.dtypes.StringDType(na_object=NAN)),
    np.array([b"no", None, b"yes"], object),
    pd.Series(["no", None, "yes"]),
    pd.Series(["no", None, "yes"], dtype="object"),
    pd.Series(["no", None, "yes"], dtype="string"),
    pd.Series(["no", None, "yes"], dtype="category"),
    pd.Series(pd.Categorical(["no", None, "yes"], ["?", "yes", "no"], ordered=True)),
    pd.array(["no", None, "yes"], dtype="string"),
    pd.Index(["no", None, "yes"]),
]


@pytest.mark.parametrize("values", YES_AND_NO, ids=ids)
def test_text_of_every_container_is_a_binary_label(values):
    np.testing.assert_array_equal(encode(TEXT, values), [0, NAN, 1])


@pytest.mark.parametrize("values", YES_AND_NO, ids=ids)
def test_text_of_every_container_is_a_class(values):
    task = kmtl.MulticlassTask("t", classes=["?", "yes", "no"])
    np.testing.assert_array_equal(encode(task, values), [2, NAN, 1])


@pytest.mark.parametrize(
    "values",
    [np.array(["no", "yes"]), np.array([b"no", b"yes"]), tf.constant(["no", "yes"])],
    ids=ids,
)
def test_fixed_width_text_and_the_bytes_of_tensorflow_are_text(values):
    np.testing.assert_array_equal(encode(TEXT, values), [0, 1])


@pytest.mark.parametrize(
    "values", [tf.constant(["Zürich", "東京"]), ["Zürich", "東京"]]
)
def test_text_is_unicode(values):
    task = kmtl.MulticlassTask("t", classes=["東京", "Zürich"])
    np.testing.assert_array_equal(encode(task, values), [1, 0])


@pytest.mark.parametrize("values", [[1, -1, 0], np.array([1, -1, 0]), ["1", "-1", "0"]])
def test_a_value_can_mean_missing(values):
    kind = type(values[0])
    task = kmtl.MulticlassTask("t", classes=list(map(kind, [0, 1])), missing=kind(-1))
    np.testing.assert_array_equal(encode(task, values), [1, NAN, 0])


@pytest.mark.parametrize(
    "task",
    [
        kmtl.BinaryTask("t", missing=-1),
        kmtl.RegressionTask("t", missing=-1),
        kmtl.MulticlassTask("t", classes=2, missing=-1),
    ],
    ids=lambda task: type(task).__name__,
)
def test_minus_one_can_mean_missing_for_every_kind(task):
    np.testing.assert_array_equal(encode(task, [1, -1, 0]), [1, NAN, 0])


def test_text_can_mean_missing():
    task = kmtl.BinaryTask("t", positive="yes", missing="?")
    np.testing.assert_array_equal(encode(task, ["yes", "?", "no"]), [1, NAN, 0])


def test_text_that_means_missing_may_stand_between_numbers():
    task = kmtl.RegressionTask("t", missing="?")
    np.testing.assert_array_equal(encode(task, [1.5, "?", 2]), [1.5, NAN, 2])


def test_all_labels_may_be_missing():
    np.testing.assert_array_equal(encode(CITY, [None, NAN]), [NAN, NAN])


def test_no_rows_are_no_labels():
    assert encode(CITY, []).shape == (0,)


def test_codes_of_a_category_do_not_matter():
    values = pd.Series(["Oslo", "Rome"], dtype="category")  # the codes are 0 and 1
    np.testing.assert_array_equal(encode(CITY, values), [1, 0])


def test_floats_of_whole_numbers_are_class_ids():
    np.testing.assert_array_equal(encode(DIGIT, [2.0, NAN, 0.0]), [2, NAN, 0])


@pytest.mark.parametrize("dtype", ["int64", "float32", "object", "Int64"])
def test_classes_need_not_start_at_zero(dtype):
    task = kmtl.MulticlassTask("t", classes=[10, 30, 20])
    np.testing.assert_array_equal(
        encode(task, pd.Series([20, 10], dtype=dtype)), [2, 0]
    )


def test_integers_that_floats_cannot_hold_are_classes():
    big = 2**60
    task = kmtl.MulticlassTask("t", classes=[big, big + 1])
    values = pd.Series([big + 1, None, big], dtype="Int64")
    np.testing.assert_array_equal(encode(task, values), [1, NAN, 0])


@pytest.mark.parametrize("positive", [1, True, 1.0])
def test_positive_is_compared_as_a_number(positive):
    task = kmtl.BinaryTask("t", positive=positive)
    np.testing.assert_array_equal(encode(task, [-1, 1]), [0, 1])


def test_positive_may_be_zero():
    task = kmtl.BinaryTask("t", classes=[1, 0])
    np.testing.assert_array_equal(encode(task, [0, 1]), [1, 0])


def test_positive_may_stand_against_several_values():
    task = kmtl.BinaryTask("t", positive="a")
    np.testing.assert_array_equal(encode(task, ["a", "b", "c"]), [1, 0, 0])


@pytest.mark.parametrize("value", [Decimal("1.5"), np.float32(1.5), np.array(1.5)[()]])
def test_numbers_of_any_type_are_numbers(value):
    np.testing.assert_array_equal(encode(NUMBER, [value, None]), [1.5, NAN])


def test_labels_of_a_head_of_its_own_have_its_shape():
    labels = np.arange(8).reshape(2, 2, 2) % 3
    np.testing.assert_array_equal(encode(DIGIT, labels, (2, 2)), labels)


def test_a_last_axis_of_one_is_dropped():
    assert encode(DIGIT, np.zeros((2, 4, 1)), (None,)).shape == (2, 4)


@pytest.mark.parametrize("values", [[-1, 1], [-1, 0, 1], np.array([-1.0, 1.0])])
def test_minus_one_in_binary_labels_names_both_remedies(values):
    message = r"`positive=1` if -1 means no, or `missing=-1` .* Received: \[-1\.0,"
    with pytest.raises(ValueError, match=message):
        encode(BINARY, values)


@pytest.mark.parametrize("values", [[0, 2], [0.5, 1], [1, float("inf")]])
def test_other_numbers_are_no_binary_labels(values):
    with pytest.raises(
        ValueError, match=r"must be 0 and 1; name the value .* `positive"
    ):
        encode(BINARY, values)


@pytest.mark.parametrize("values", [["yes", "no"], ["0", "1"], [True, "no"]])
def test_text_needs_a_positive_value(values):
    with pytest.raises(
        ValueError, match=r"counts as 1 with `positive=`\. Received: \["
    ):
        encode(BINARY, values)


@pytest.mark.parametrize(("positive", "values"), [(1, ["1", "0"]), ("1", [1, 0])])
def test_positive_of_another_kind_than_the_labels_is_an_error(positive, values):
    with pytest.raises(ValueError, match=r"is of another kind than the labels. Receiv"):
        encode(kmtl.BinaryTask("t", positive=positive), values)


def test_a_label_that_is_no_class_is_named_with_a_near_miss():
    message = r"among its classes, \['Rome', 'Oslo'\]. Received: \['Roma'\]. Did you me"
    with pytest.raises(ValueError, match=message):
        encode(CITY, ["Rome", "Roma"])


@pytest.mark.parametrize("task", [CITY, kmtl.BinaryTask("t", classes=["no", "yes"])])
def test_a_label_that_is_no_class_names_both_remedies(task):
    with pytest.raises(ValueError, match=r"`classes=`, or .* unlabelled .* `missing=`"):
        encode(task, ["Bonn"])


@pytest.mark.parametrize("wrong", [3, -1, 1.5, float("inf"), "1"])
def test_a_class_id_outside_the_classes_is_an_error(wrong):
    with pytest.raises(ValueError, match=r"among its classes, \[0, 1, 2\]. Re"):
        encode(DIGIT, [0, wrong])


def test_a_digit_as_text_is_told_from_the_number():
    with pytest.raises(ValueError, match=r"Received: \['2'\]. Did you mean 2\?"):
        encode(DIGIT, ["2"])


@pytest.mark.parametrize("values", [["tall"], ["1.5"], [1.5, "2"], [b"1"]])
def test_text_is_no_number(values):
    with pytest.raises(
        ValueError, match=r"must be numbers\. Received: .*pd.to_numeric"
    ):
        encode(NUMBER, values)


@pytest.mark.parametrize("wrong", [float("inf"), float("-inf")])
def test_infinite_labels_are_an_error(wrong):
    with pytest.raises(ValueError, match=r"finite; use NaN .* -?inf in row 2"):
        encode(NUMBER, [1.0, NAN, wrong])


@pytest.mark.parametrize("task", [BINARY, CITY, NUMBER], ids=lambda t: type(t).__name__)
@pytest.mark.parametrize(
    "values",
    [
        pd.Series(["2024-01-01"]).astype("datetime64[s]"),
        np.array(["2024-01-01"], "datetime64[D]"),
        pd.Series([pd.Timedelta("1D")]),
        np.array([1j]),
    ],
    ids=ids,
)
def test_dates_and_complex_numbers_are_no_labels(task, values):
    with pytest.raises(ValueError, match="Turn dates into numbers first"):
        encode(task, values)


@pytest.mark.parametrize("task", [BINARY, CITY, NUMBER], ids=lambda t: type(t).__name__)
def test_dates_with_a_time_zone_are_no_labels(task):
    with pytest.raises(ValueError, match=r"Received: .Timestamp"):
        encode(task, pd.Series([pd.Timestamp("2024-01-01", tz="UTC")]))


def test_one_hot_labels_are_an_error_with_the_remedy():
    with pytest.raises(
        ValueError, match=r"pass `labels.argmax\(axis=-1\)`. .*\(2, 3\)"
    ):
        encode(DIGIT, np.eye(3)[:2])


@pytest.mark.parametrize("task", [BINARY, NUMBER], ids=lambda t: type(t).__name__)
def test_labels_of_two_columns_are_an_error(task):
    with pytest.raises(ValueError, match=r"shape \(rows\). Received: shape=\(3, 2\)"):
        encode(task, np.zeros((3, 2)))


@pytest.mark.parametrize("values", [3, None, "yes", {"a": 1}, (v for v in [0, 1])])
def test_what_is_no_column_is_no_label(values):
    with pytest.raises(ValueError, match=r"one value a row. Received: "):
        encode(BINARY, values)


@pytest.mark.parametrize("values", [[[0], [0, 1]], pd.Series([[0], [0, 1]])])
def test_lists_are_no_labels(values):
    with pytest.raises(ValueError, match=r"one value a row. Received: "):
        encode(DIGIT, values)
