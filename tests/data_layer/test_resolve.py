"""What a training frame says about a task."""

import numpy as np
import pandas as pd
import pytest

import kmtl
from kmtl.data import resolve_task


def classes_of(task, values):
    return resolve_task(task, pd.DataFrame({"t": values})).classes


KIND = kmtl.MulticlassTask("t")


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["b", "a", None, "b"], ("a", "b")),
        ([3, 1, 3], (1, 3)),
        ([1.0, 2.0, np.nan], (1, 2)),
        ([True, False, None], (False, True)),
        (pd.array([2, None, 1], dtype="Int64"), (1, 2)),
        (pd.array(["b", None, "a"], dtype="string"), ("a", "b")),
        (pd.array([True, None, False], dtype="boolean"), (False, True)),
        (pd.Categorical(["b", None], ["z", "b", "a"], ordered=True), ("z", "b", "a")),
        (pd.Categorical([2.0, 1.0]), (1, 2)),
        (["b", 1], (1, "b")),
    ],
)
def test_classes_are_found_and_sorted_or_those_of_the_category(values, classes):
    found = classes_of(KIND, values)
    assert found == classes
    assert list(map(type, found)) == list(map(type, classes))


def test_the_value_for_missing_labels_is_no_class():
    task = kmtl.MulticlassTask("t", missing="?")
    assert classes_of(task, ["b", "?", "a"]) == ("a", "b")


def test_it_may_stand_beside_missing_values():
    task = kmtl.MulticlassTask("t", missing="?")
    assert classes_of(task, pd.Series(["b", "?", pd.NA, "a"], dtype=object)) == (
        "a",
        "b",
    )


def test_nor_is_it_a_category():
    task = kmtl.MulticlassTask("t", missing="?")
    assert classes_of(task, pd.Categorical(["b", "?", "a"])) == ("a", "b")


def test_classes_that_are_named_stay():
    task = kmtl.MulticlassTask("t", classes=["c", "a", "b"])
    assert classes_of(task, ["a", "b"]) == ("c", "a", "b")


def test_one_class_is_an_error():
    with pytest.raises(ValueError, match=r"at least two classes; .* Received: \['a'\]"):
        classes_of(KIND, ["a", "a"])


def test_measured_values_are_no_classes():
    with pytest.raises(ValueError, match=r"use RegressionTask .* Received: \[1.5\]"):
        classes_of(KIND, [1.5, 2.0])


def test_dates_are_no_classes():
    with pytest.raises(ValueError, match="Turn dates into numbers first"):
        classes_of(KIND, pd.to_datetime(["2024-01-01", "2024-01-02"]))


def test_intervals_are_no_classes():
    with pytest.raises(ValueError, match=r"text, a number or a truth .* Interval"):
        classes_of(KIND, pd.cut(pd.Series([1, 2, 3]), 2))


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([0, 1], (0, 1)),
        ([0.0, 1.0, np.nan], (0, 1)),
        ([False, True], (False, True)),
        ([True, None], (False, True)),
        (pd.array([0, None], dtype="Int64"), (0, 1)),
        (pd.Categorical([1, 0]), (0, 1)),
    ],
)
def test_zeros_and_ones_keep_their_type(values, classes):
    found = classes_of(kmtl.BinaryTask("t"), values)
    assert list(map(type, found)) == list(map(type, classes))


@pytest.mark.parametrize(
    ("positive", "values", "classes"),
    [
        ("yes", ["yes", "no", None], ("no", "yes")),
        ("no", ["yes", "no"], ("yes", "no")),
        (1, [-1, 1], (-1, 1)),
        (True, [0, 1], (0, 1)),
        (2, [1.0, 2.0], (1.0, 2.0)),
    ],
)
def test_the_negative_value_is_found(positive, values, classes):
    found = classes_of(kmtl.BinaryTask("t", positive=positive), values)
    assert list(zip(found, map(type, found), strict=True)) == list(
        zip(classes, map(type, classes), strict=True)
    )


@pytest.mark.parametrize("values", [["a", "b", "c"], ["a", "a"]])
def test_one_against_the_rest_has_no_classes(values):
    assert classes_of(kmtl.BinaryTask("t", positive="a"), values) is None


def test_a_positive_value_that_never_occurs_lists_the_values():
    message = (
        r"`positive` of BinaryTask\('t'\) never occurs in column 't'. Received: 'Yes'. "
        r"Did you mean 'yes'\? Values: \['no', 'yes'\]"
    )
    with pytest.raises(ValueError, match=message):
        classes_of(kmtl.BinaryTask("t", positive="Yes"), ["no", "yes"])


def test_text_that_should_be_a_number_is_told():
    with pytest.raises(ValueError, match=r"Received: '1'. Did you mean 1\?"):
        classes_of(kmtl.BinaryTask("t", positive="1"), [0, 1])


def test_a_label_column_that_is_missing_is_an_error():
    message = r"no label column for task 'rich'; .* 'income'. Did you mean 'incomes'\?"
    with pytest.raises(ValueError, match=message):
        resolve_task(
            kmtl.BinaryTask("rich", label="income"), pd.DataFrame({"incomes": [0, 1]})
        )


@pytest.mark.parametrize("task", [KIND, kmtl.BinaryTask("t"), kmtl.RegressionTask("t")])
def test_a_column_without_any_label_is_an_error(task):
    with pytest.raises(
        ValueError,
        match=r"Every label of task 't' is missing .* column 't' without any",
    ):
        classes_of(task, [None, np.nan])
