import numpy as np
import pandas as pd
import pytest

from kmtl.features import NumericColumn, TabularFeatures


def from_columns(**columns):
    return TabularFeatures.from_frame(pd.DataFrame(columns))


def x(values, **settings):
    return TabularFeatures.from_frame(pd.DataFrame({"x": values}), **settings)


def test_something_else_than_a_frame_is_refused():
    with pytest.raises(TypeError, match=r"`frame` must be a pandas DataFrame.*dict"):
        TabularFeatures.from_frame({"x": [1, 2]})


def test_an_empty_frame_is_refused():
    with pytest.raises(ValueError, match="at least one row"):
        x([])


def test_names_that_are_no_strings_are_refused():
    frame = pd.DataFrame({3: [1, 2]})
    with pytest.raises(TypeError, match=r"strings as names. Received: 3.*str\(c\)"):
        TabularFeatures.from_frame(frame)


def test_duplicate_names_are_refused():
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"])
    with pytest.raises(ValueError, match=r"distinct names. Repeated: \['a'\]"):
        TabularFeatures.from_frame(frame)


@pytest.mark.parametrize("argument", ["numeric", "categorical", "date", "exclude"])
def test_unknown_names_are_refused_with_the_nearest_one(argument):
    message = rf"`{argument}` names an unknown column.*'agee'.*Did you mean 'age'\?"
    with pytest.raises(ValueError, match=message):
        TabularFeatures.from_frame(
            pd.DataFrame({"age": [1, 2]}), **{argument: ["agee"]}
        )


def test_a_column_is_named_once():
    with pytest.raises(ValueError, match=r"'x' must be named once.*`text`.*`numeric`"):
        x([1, 2], numeric=["x"], text=["x"])
    with pytest.raises(ValueError, match=r"'x' must be named once.*`date`.*`exclude`"):
        x([1, 2], date=["x"], exclude=["x"])


def test_a_single_name_is_no_sequence_of_names():
    with pytest.raises(TypeError, match=r"`numeric` must be a sequence.*\['x'\]"):
        x([1, 2], numeric="x")


@pytest.mark.parametrize("setting", ["max_vocabulary", "min_count", "bins"])
def test_limits_must_be_positive(setting):
    with pytest.raises(ValueError, match=f"`{setting}` must be a positive integer"):
        x([1, 2], **{setting: 0})


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (["a", 1], "'a' and 1"),
        ([True, "b"], "True and 'b'"),
        ([1.5, "c"], "1.5 and 'c'"),
    ],
)
def test_mixed_types_are_refused_with_two_values(values, shown):
    with pytest.raises(TypeError, match=f"'x' must hold values of one type.*{shown}"):
        x(pd.Series(values, dtype=object))


@pytest.mark.parametrize("value", [b"a", [1], 1j, (1, 2), object])
def test_other_types_are_refused(value):
    values = pd.Series([value, value], dtype=object)
    with pytest.raises(TypeError, match="'x' must hold numbers, truth values, dates"):
        x(values)


def test_an_infinite_number_is_refused_in_training_and_later():
    with pytest.raises(ValueError, match=r"'x' must be finite. Received: inf in row 1"):
        x([1.0, np.inf])
    with pytest.raises(
        ValueError, match=r"'x' must be finite. Received: -inf in row 0"
    ):
        x([1.0, 2.0]).encode(pd.DataFrame({"x": [-np.inf]}))


@pytest.mark.parametrize(
    ("trained", "later", "message"),
    [
        ([1.0, 2.0], ["a"], "must hold numbers. Received: 'a'"),
        (["a", "b"], [3], "must hold strings. Received: 3"),
        (["a", "b"], [True], "must hold strings. Received: True"),
        ([True, False], ["yes"], "must hold truth values. Received: 'yes'"),
        ([True, False], [2], "holds truth values.*Received: 2"),
        (pd.Categorical([1, 2]), ["a"], "must hold integer categories. Received: 'a'"),
        (pd.Categorical([1, 2]), [1.5], "must hold integer categories.*Received: 1.5"),
        (["2020-01-01", "2020-02-01"], [5], "must hold dates. Received: 5"),
        (["2020-01-01", "2020-02-01"], ["soon"], "holds dates: .*soon"),
        (
            [1.0, 2.0],
            pd.to_datetime(["2020-01-01"]),
            "must hold numbers. Received: Tim",
        ),
    ],
)
def test_another_type_than_in_training_is_refused(trained, later, message):
    with pytest.raises(TypeError, match=f"Column 'x' {message}"):
        x(trained).encode(pd.DataFrame({"x": later}))


def test_a_time_zone_where_there_was_none_is_refused():
    dates = pd.date_range("2020-01-01", periods=3)
    with pytest.raises(TypeError, match=r"had no time zone.*datetime64\[us, UTC\]"):
        x(dates).encode(pd.DataFrame({"x": dates.tz_localize("UTC")}))


def test_no_time_zone_where_there_was_one_is_refused():
    dates = pd.date_range("2020-01-01", periods=3)
    with pytest.raises(TypeError, match=r"had a time zone.*tz_localize"):
        x(dates.tz_localize("UTC")).encode(pd.DataFrame({"x": dates}))


def test_fractions_are_no_integer_categories():
    with pytest.raises(TypeError, match=r"integer categories.*0.5.*astype\(str\)"):
        x([0.5, 1.0], categorical=["x"])


def test_a_kind_that_does_not_fit_is_refused():
    with pytest.raises(TypeError, match=r"'x' must hold numbers.*'a'.*pd.to_numeric"):
        x(["a", "b"], numeric=["x"])


def test_a_frame_that_lacks_a_column_is_refused():
    features = from_columns(age=[1, 2], city=["a", "b"])
    message = r"lacks the column 'age'.*Did you mean 'Age'\?"
    with pytest.raises(ValueError, match=message):
        features.encode(pd.DataFrame({"Age": [1], "city": ["a"]}))
    with pytest.raises(ValueError, match=message):
        features.raw_inputs(pd.DataFrame({"Age": [1], "city": ["a"]}))


def test_an_empty_frame_is_refused_later_too():
    with pytest.raises(ValueError, match="at least one row"):
        x([1, 2]).encode(pd.DataFrame({"x": []}))


def test_a_batch_size_of_zero_is_refused():
    with pytest.raises(ValueError, match="`batch_size` must be a positive integer"):
        x([1, 2]).encode(pd.DataFrame({"x": [1]}), batch_size=0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([4, 4], "'flat' holds one value only"),
        ([True, True], "'flat' holds one value only"),
        (["a", "a"], "'flat' holds one value only"),
        (["2020-01-01"] * 2, "'flat' holds one value only"),
        ([None, None], "'flat' holds missing values only"),
        ([np.nan, np.nan], "'flat' holds missing values only"),
        (["", None], "'flat' holds missing values only"),
    ],
)
def test_a_column_without_information_is_left_out_with_a_warning(values, message):
    with pytest.warns(UserWarning, match=message):
        features = from_columns(flat=values, age=[1, 2])
    assert features.names == ("age",)


def test_categories_that_are_all_rare_are_left_out_with_a_warning():
    frame = pd.DataFrame({"rare": ["a", "b"], "age": [1, 2]})
    with pytest.warns(UserWarning, match="'rare' holds no value 2 times"):
        features = TabularFeatures.from_frame(frame, min_count=2)
    assert features.names == ("age",)


def test_texts_that_are_all_missing_are_left_out_with_a_warning():
    frame = pd.DataFrame({"note": ["", None], "age": [1, 2]})
    with pytest.warns(UserWarning, match="'note' holds missing values only"):
        features = TabularFeatures.from_frame(frame, text=["note"])
    assert features.names == ("age",)


def test_texts_without_words_are_left_out_with_a_warning():
    frame = pd.DataFrame({"note": ["?!", "..."], "age": [1, 2]})
    with pytest.warns(UserWarning, match="'note' holds no word 1 times"):
        features = TabularFeatures.from_frame(frame, text=["note"])
    assert features.names == ("age",)


def test_a_frame_without_information_is_refused():
    with (
        pytest.warns(UserWarning, match="'x' holds one value only"),
        pytest.raises(ValueError, match="at least one column"),
    ):
        x([1, 1])


@pytest.mark.parametrize("values", [range(200), [f"u{i}" for i in range(200)]])
def test_an_id_is_warned_about_and_kept(values):
    with pytest.warns(UserWarning, match=r"'id' is nearly unique.*exclude=\['id'\]"):
        features = from_columns(id=values, age=[1, 2] * 100)
    assert features.names == ("id", "age")


def test_an_id_is_dropped_when_asked():
    frame = pd.DataFrame({"id": range(200), "age": [1, 2] * 100})
    assert TabularFeatures.from_frame(frame, drop_ids=True).names == ("age",)


def test_a_column_whose_kind_is_named_is_no_id():
    features = x(range(200), numeric=["x"], drop_ids=True)
    assert features.names == ("x",)


@pytest.mark.parametrize("values", [np.linspace(0, 1, 200), range(20)])
def test_fractions_and_short_columns_are_no_ids(values):
    assert x(values).names == ("x",)


def test_columns_must_have_distinct_names():
    column = NumericColumn(name="x", center=0.0, scale=1.0)
    with pytest.raises(ValueError, match=r"`columns` must be unique.*'x'"):
        TabularFeatures((column, column))
