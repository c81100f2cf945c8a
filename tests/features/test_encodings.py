from datetime import date, datetime

import numpy as np
import pandas as pd
import pytest

from kmtl.features import TabularFeatures


def encode(values, other=None, **settings):
    """Encodes one column, with the features of it or of another."""
    frame = pd.DataFrame({"x": values})
    features = TabularFeatures.from_frame(frame, **settings)
    return features.encode(frame if other is None else pd.DataFrame({"x": other}))


def only_column(values, **settings):
    frame = pd.DataFrame({"x": values})
    return TabularFeatures.from_frame(frame, **settings).columns[0]


# Numbers.


def test_numbers_are_centred_by_the_median_and_scaled_by_the_middle_half():
    column = only_column([0.0, 1.0, 2.0, 3.0, 1e9])
    assert column.center == 2.0
    assert column.scale == pytest.approx(2.0 / 1.3489795)  # quartiles 1 and 3


def test_mostly_equal_numbers_are_scaled_by_the_standard_deviation():
    assert only_column([0.0] * 9 + [10.0]).scale == pytest.approx(3.0)


def test_a_missing_number_becomes_the_median_and_is_flagged():
    numbers = encode([1.0, 2.0, 3.0, np.nan])["numeric"]
    np.testing.assert_array_equal(numbers[1], [0.0, 0.0])
    np.testing.assert_array_equal(numbers[3], [0.0, 1.0])


def test_a_number_missing_in_serving_only_becomes_the_median():
    encoded = encode([1.0, 2.0, 3.0], other=[np.nan, None])
    np.testing.assert_array_equal(encoded["numeric"], [[0.0], [0.0]])


def test_a_constant_with_missing_values_keeps_the_flag():
    numbers = encode([5.0, 5.0, np.nan])["numeric"]
    np.testing.assert_array_equal(numbers, [[0, 0], [0, 0], [0, 1]])


NUMBERS = ("int8", "uint16", "int64", "uint64", "float16", "float32", "float64")


@pytest.mark.parametrize(
    "dtype", [*NUMBERS, "Int64", "Float32", "object", "Sparse[int]"]
)
def test_numbers_of_every_dtype_are_encoded_alike(dtype):
    values = pd.Series([3, 1, 2, 9])
    expected = encode(values.astype(float))["numeric"]
    np.testing.assert_array_equal(encode(values.astype(dtype))["numeric"], expected)


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "object", "float32"])
def test_missing_numbers_of_every_dtype_are_encoded_alike(dtype):
    values = pd.Series([3, 1, None, 9])
    expected = encode(values.astype(float))["numeric"]
    np.testing.assert_array_equal(encode(values.astype(dtype))["numeric"], expected)


def test_durations_are_seconds():
    assert only_column(pd.to_timedelta([1, 2, 3], unit="h")).center == 7200.0


def test_large_integers_keep_their_differences():
    values = 2**50 + np.arange(4)
    expected = encode(np.arange(4))["numeric"]
    np.testing.assert_array_equal(encode(values)["numeric"], expected)


def test_bin_edges_are_quantiles_of_the_values_that_fill_no_bin():
    values = np.concatenate([np.zeros(900), np.arange(1, 101)])
    column = only_column(values, bins=5)
    edges = np.array(column.edges) * column.scale + column.center
    np.testing.assert_allclose(edges, [0, 1, 25, 50, 75, 100], rtol=1e-6)


def test_wide_frames_have_fewer_bins():
    frame = pd.DataFrame(np.arange(50.0)[:, None] + np.zeros((1, 512)))
    frame.columns = frame.columns.astype(str)
    columns = TabularFeatures.from_frame(frame).columns
    assert {len(column.edges) for column in columns} == {8 + 1}


def test_two_values_need_no_bins():
    assert only_column([1.0, 2.0, 1.0]).edges == ()


def test_numbers_that_recur_get_codes():
    values = [0.1] * 10 + [7.0] * 12 + [3.0] * 9
    assert only_column(values).values == (0.1, 7.0)
    codes = encode(values, other=[0.1, 7.0, 3.0, 0.1 + 1e-16, 8.0, -1.0, np.nan])
    assert codes["categorical"].ravel().tolist() == [2, 3, 1, 1, 1, 1, 0]


def test_columns_may_differ_in_how_many_numbers_recur():
    many = np.repeat(np.arange(300.0), 10)
    frame = pd.DataFrame({"few": many % 2, "many": many, "some": many % 5})
    codes = TabularFeatures.from_frame(frame).encode(frame)["categorical"]
    np.testing.assert_array_equal(codes, frame.to_numpy() + 2)


def test_enormous_numbers_stay_finite():
    encoded = encode([0.0, 1e-300, 2e-300, 3e-300], other=[1e300, -1e300])
    assert np.isfinite(encoded["numeric"]).all()


def test_an_infinite_number_in_serving_counts_as_missing():
    features = TabularFeatures.from_frame(pd.DataFrame({"x": [1.0, 2.0, 4.0]}))
    served = features.preprocessing_model()({"x": np.array([np.inf, -np.inf])})
    np.testing.assert_array_equal(served["numeric"], [[0.0], [0.0]])


# Truth values.


@pytest.mark.parametrize("dtype", ["bool", "boolean", "object"])
def test_truth_values_are_standardised(dtype):
    values = pd.Series([True, False, False, True]).astype(dtype)
    np.testing.assert_array_equal(
        encode(values)["numeric"].ravel(), [1.0, -1.0, -1.0, 1.0]
    )


def test_a_missing_truth_value_is_flagged():
    values = pd.Series([True, False, None], dtype=object)
    np.testing.assert_array_equal(
        encode(values)["numeric"], [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]
    )


def test_zeros_and_ones_are_taken_as_truth_values():
    encoded = encode([True, False], other=[1.0, 0.0])
    np.testing.assert_array_equal(encoded["numeric"], [[1.0], [-1.0]])


# Categories.


@pytest.mark.parametrize("dtype", ["str", "object", "string", "category"])
def test_categories_of_every_dtype_are_encoded_alike(dtype):
    values = pd.Series(["b", "a", "b", None, ""]).astype(dtype)
    assert encode(values)["categorical"].ravel().tolist() == [2, 3, 2, 0, 0]


@pytest.mark.parametrize("dtype", ["int64", "Int64", "float64", "object", "category"])
def test_integer_categories_of_every_dtype_are_encoded_alike(dtype):
    values = pd.Series([7, 5, 7]).astype(dtype)
    encoded = encode(values, categorical=["x"])
    assert encoded["categorical"].ravel().tolist() == [2, 3, 2]


def test_missing_integer_categories_have_the_first_code():
    encoded = encode(pd.array([7, 5, None, 7], dtype="Int64"), categorical=["x"])
    assert encoded["categorical"].ravel().tolist() == [2, 3, 0, 2]


def test_an_unseen_category_has_the_second_code():
    assert encode(["a", "b"], other=["c", "a"])["categorical"].tolist() == [[1], [2]]


def test_a_category_missing_in_serving_only_has_the_first_code():
    assert encode(["a", "b"], other=[None, "a"])["categorical"].tolist() == [[0], [2]]


def test_rare_categories_share_the_second_code():
    values = ["a"] * 3 + ["b"] * 2 + ["c"]
    by_count = encode(values, min_count=2)["categorical"]
    by_rank = encode(values, max_vocabulary=2)["categorical"]
    assert by_count.ravel().tolist() == by_rank.ravel().tolist() == [2] * 3 + [3, 3, 1]


def test_equally_frequent_categories_come_in_their_own_order():
    assert only_column(["c", "a", "b", "b"]).vocabulary == ("b", "a", "c")


def test_large_integer_categories_are_told_apart():
    values = np.array([2**60, 2**60 + 1, 2**60])
    assert only_column(values, categorical=["x"]).vocabulary == (2**60, 2**60 + 1)


def test_large_frames_put_single_values_in_the_second_code():
    values = ["a"] * 4999 + ["b"]
    assert only_column(values).vocabulary == ("a",)


# Dates.


def test_calendar_parts_are_those_of_pandas():
    dates = pd.Series(pd.date_range("1899-12-31", "2101-01-01", freq="1237h"))
    codes = encode(dates)["categorical"]
    expected = np.stack(
        [dates.dt.month, dates.dt.day_of_week + 1, dates.dt.hour + 1], 1
    )
    np.testing.assert_array_equal(codes, expected)


def test_a_missing_date_has_the_first_codes_and_a_flag():
    encoded = encode(pd.to_datetime(["2020-01-01", "2021-03-04", None]))
    assert encoded["categorical"][2].tolist() == [0, 0]
    assert encoded["numeric"][2].tolist() == [0.0, 1.0]


def test_parts_that_do_not_vary_are_dropped():
    assert only_column(pd.date_range("2020-01-01", periods=9)).parts == ("weekday",)


def test_parts_of_several_dates_come_date_by_date():
    hours = pd.Series(pd.date_range("2020-01-01", periods=24, freq="h"))
    days = pd.Series(pd.date_range("2020-01-01", periods=24, freq="5D"))
    frame = pd.DataFrame({"hours": hours, "days": days})
    codes = TabularFeatures.from_frame(frame).encode(frame)["categorical"]
    expected = [hours.dt.hour + 1, days.dt.month, days.dt.day_of_week + 1]
    np.testing.assert_array_equal(codes, np.stack(expected, axis=1))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_dates_of_every_unit_are_encoded_alike(unit):
    dates = pd.Series(pd.date_range("2020-01-01", periods=5, freq="31D"))
    expected = encode(dates)["numeric"]
    np.testing.assert_array_equal(encode(dates.dt.as_unit(unit))["numeric"], expected)


@pytest.mark.parametrize(
    "convert",
    [
        lambda dates: dates.dt.strftime("%Y-%m-%d"),
        lambda dates: dates.dt.date,
        lambda dates: dates.astype(object),
        lambda dates: dates.dt.to_period("D"),
        lambda dates: dates.dt.strftime("%Y-%m-%dT%H:%M:%S").astype("category"),
    ],
)
def test_dates_of_every_type_are_encoded_alike(convert):
    dates = pd.Series(pd.date_range("2020-01-01", periods=5, freq="31D"))
    expected = encode(dates)["numeric"]
    encoded = encode(convert(dates), date=["x"])["numeric"]
    np.testing.assert_array_equal(encoded, expected)


def test_strings_of_dates_are_found():
    assert only_column(["2020-01-01", "2020-05-05 10:00"]).kind == "date"


def test_dates_with_a_time_zone_are_seconds_of_utc():
    dates = pd.date_range("2020-01-01", periods=3, tz="Asia/Tokyo")
    column = only_column(dates)
    assert column.aware
    assert column.center == pd.Timestamp("2020-01-02", tz="Asia/Tokyo").timestamp()


def test_dates_keep_their_seconds():
    dates = pd.date_range("2024-01-01", periods=4, freq="s")
    np.testing.assert_array_equal(encode(dates)["numeric"], encode(range(4))["numeric"])


# Texts.


def test_words_are_lower_case_without_punctuation():
    texts = ["Good, GOOD film!", "don't\tmiss   it", "a film... (good)", None]
    encoded = encode(texts, text=["x"])
    words = ("good", "film", "a", "dont", "it", "miss")
    assert only_column(texts, text=["x"]).vocabulary == words
    assert encoded["text"][:, 0].tolist() == [
        [2, 2, 3],
        [5, 7, 6],
        [4, 3, 2],
        [0, 0, 0],
    ]


def test_unseen_words_have_the_second_code_and_long_texts_are_cut():
    encoded = encode(["a b", "b a"], other=["b new a", "?!"], text=["x"])
    assert encoded["text"][:, 0].tolist() == [[3, 1], [0, 0]]


def test_letters_beyond_ascii_are_lowered():
    assert only_column(["ÉTÉ à Łódź", "été"], text=["x"]).vocabulary[0] == "été"


def test_columns_of_text_share_one_array():
    frame = pd.DataFrame({"a": ["x y z", "x"], "b": ["u", "v"]})
    features = TabularFeatures.from_frame(frame, text=["a", "b"])
    assert features.encode(frame)["text"].tolist() == [
        [[2, 3, 4], [2, 0, 0]],
        [[2, 0, 0], [3, 0, 0]],
    ]


def test_repeated_strings_of_several_words_are_categories():
    assert only_column(["New York", "San Jose"] * 10).kind == "categorical"


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([3, 1, None], "double[pyarrow]"),
        ([3, 1, None], "int64[pyarrow]"),
        ([True, False, None], "bool[pyarrow]"),
        (["b", "a", None], "string[pyarrow]"),
        ([date(2020, 1, 2), date(2021, 3, 4), None], "date32[pyarrow]"),
        ([datetime(2020, 1, 2), datetime(2021, 3, 4), None], "timestamp[ns][pyarrow]"),
    ],
)
def test_arrow_columns_are_encoded_as_python_values(values, dtype):
    pytest.importorskip("pyarrow")
    expected = encode(pd.Series(values, dtype=object))
    encoded = encode(pd.Series(values, dtype=dtype))
    assert {k: v.tolist() for k, v in encoded.items()} == {
        k: v.tolist() for k, v in expected.items()
    }
