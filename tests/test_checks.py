"""Every kind of mistake has one sentence."""

import time

import numpy as np
import pytest

from kmtl._checks import (
    as_plain,
    as_tuple,
    check_class_weight,
    check_known_keys,
    check_label_value,
    check_mapping,
    check_positive,
    check_positive_integer,
    check_unique,
    check_units,
    check_weight,
    did_you_mean,
    shorten,
)


def test_a_near_miss_is_named():
    assert did_you_mean("incom", ["age", "income"]) == " Did you mean 'income'?"


def test_a_near_miss_may_be_in_the_case():
    assert did_you_mean("YES", ["no", "yes"]) == " Did you mean 'yes'?"


def test_a_value_of_another_type_is_a_near_miss():
    assert did_you_mean("1", [0, 1]) == " Did you mean 1?"


def test_nothing_is_named_where_nothing_is_near():
    assert did_you_mean("xyz", ["age", "income"]) == ""


def test_long_lists_are_cut():
    assert shorten(range(14), limit=2) == "[0, 1, ... (12 more)]"


def test_short_lists_are_shown():
    assert shorten(["a"]) == "['a']"


def test_an_unknown_key_is_named_with_its_remedy():
    message = "`y` names an unknown task. Received: 'b1'. Did you mean 'b'?"
    with pytest.raises(ValueError, match=message):
        check_known_keys(["a", "b1"], ["a", "b"], "y")


def test_known_keys_pass():
    check_known_keys(["b"], ["a", "b"], "y")


@pytest.mark.parametrize("value", [0, -1, float("nan"), True, "1", None])
def test_a_positive_number_is_wanted(value):
    with pytest.raises(ValueError, match=r"`rate` must be positive\. Received: "):
        check_positive(value, "rate")


@pytest.mark.parametrize("value", [1, 0.5, np.float32(2), np.int64(3)])
def test_positive_numbers_of_python_and_numpy_pass(value):
    check_positive(value, "rate")


@pytest.mark.parametrize("value", [0, 1.0, True, "3", None, np.float64(2)])
def test_a_positive_integer_is_wanted(value):
    with pytest.raises(ValueError, match="`units` must be a positive integer"):
        check_positive_integer(value, "units")


@pytest.mark.parametrize("value", [1, np.int32(2)])
def test_positive_integers_of_python_and_numpy_pass(value):
    check_positive_integer(value, "units")


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), True, "1", None])
def test_a_weight_is_finite_and_not_negative(value):
    with pytest.raises(ValueError, match=r"finite number of at least 0\. Received: "):
        check_weight(value, "loss_weight")


@pytest.mark.parametrize("value", [0, 0.5, np.float32(2), np.int64(3)])
def test_weights_of_python_and_numpy_pass(value):
    check_weight(value, "loss_weight")


@pytest.mark.parametrize("value", [32, "32", None, {32}])
def test_units_are_a_sequence(value):
    with pytest.raises(ValueError, match=r"sequence of layer widths, such as \(64, 32"):
        check_units(value, "head_units")


def test_each_unit_is_checked():
    with pytest.raises(ValueError, match=r"`head_units\[...\]` must be a positive"):
        check_units([32, 0], "head_units")


def test_repeated_names_are_listed():
    with pytest.raises(ValueError, match=r"must be unique\. Repeated: \['a', 'c'\]"):
        check_unique(["a", "b", "a", "c", "c"], "names")


def test_true_repeats_one():
    with pytest.raises(ValueError, match=r"Repeated: \[1\]"):
        check_unique([1, True], "classes")


def test_a_mapping_is_wanted():
    with pytest.raises(TypeError, match=r"`w` must be a dict of weights by task name"):
        check_mapping([1.0], "w", "weights by task name")


@pytest.mark.parametrize("value", [None, float("nan"), ("a",), b"a", 1j])
def test_a_label_value_is_what_json_keeps(value):
    with pytest.raises(ValueError, match="must be text, a number or a truth value"):
        check_label_value(value, "positive")


@pytest.mark.parametrize("value", ["a", 1, 1.5, True])
def test_label_values_pass(value):
    check_label_value(value, "positive")


def test_class_weights_are_checked_one_by_one():
    with pytest.raises(ValueError, match=r"`class_weight\['b'\]` must be a finite"):
        check_class_weight({"a": 1.0, "b": -1.0}, "class_weight")


@pytest.mark.parametrize("value", ["auc", b"a", {"a": 1}, {"a"}, 3])
def test_no_list_is_no_tuple(value):
    with pytest.raises(ValueError, match=r"`metrics` must be a list\. Received: "):
        as_tuple(value, "metrics")


def test_a_list_of_numpy_scalars_becomes_a_tuple_of_python_ones():
    assert list(map(type, as_tuple(np.array([1, 2]), "classes"))) == [int, int]


def test_other_values_stay_as_they_are():
    assert as_plain("a") == "a"


def test_checks_take_time_in_proportion_to_the_names():
    names = [f"task_{i}" for i in range(100_000)]
    start = time.perf_counter()
    check_unique(names, "names")
    check_known_keys(names, names, "y")
    assert time.perf_counter() - start < 2.0  # quadratic ones need minutes
