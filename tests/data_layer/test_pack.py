"""Labels and weights of all tasks are stacked along the task axis."""

import time

import numpy as np
import pandas as pd
import pytest

import kmtl

NAN = float("nan")
A, B = kmtl.BinaryTask("a"), kmtl.BinaryTask("b", positive="yes")
AGE = kmtl.RegressionTask("age")
CITY = kmtl.MulticlassTask("city", classes=["Rome", "Oslo"])
X = np.zeros((3, 2))


def pack(adapter, y, **options):
    return adapter.batch(X, y, **{"training": True, **options})[1]


def test_tasks_of_one_form_share_an_array(make_adapter):
    packed = pack(make_adapter([A, B]), {"b": ["no", None, "yes"], "a": [1, 0, 0]})
    np.testing.assert_array_equal(packed["labels"], [[[1, 0], [0, NAN], [0, 1]]])


def test_labels_are_of_the_dtype_of_losses(make_adapter):
    assert pack(make_adapter([A]), [1, 0, 1])["labels"][0].dtype == "float32"


def test_labels_of_regressions_are_standardised(make_adapter):
    packed = pack(make_adapter([AGE], mean=10.0, scale=2.0), [12, NAN, 10])
    np.testing.assert_array_equal(packed["labels"][0], [[1], [NAN], [0]])


def test_large_numbers_are_standardised_before_they_are_rounded(make_adapter):
    adapter = make_adapter([AGE], mean=1e9, scale=1.0)
    packed = pack(adapter, [1e9 + 1, 1e9 + 2, 1e9 + 3])
    np.testing.assert_array_equal(packed["labels"][0], [[1], [2], [3]])


@pytest.mark.parametrize("y", [{"a": [1, 0, 1]}, {"a": [1, 0, 1], "b": None}])
def test_a_task_left_out_is_missing_everywhere(make_adapter, y):
    packed = pack(make_adapter([A, B]), y)
    np.testing.assert_array_equal(packed["labels"][0][:, 1], [NAN] * 3)


@pytest.mark.parametrize("y", [[1, 0, 1], pd.Series([1, 0, 1]), {"a": [1, 0, 1]}])
def test_one_task_needs_no_dict(make_adapter, y):
    packed = pack(make_adapter([A]), y)
    np.testing.assert_array_equal(packed["labels"][0], [[1], [0], [1]])


@pytest.mark.parametrize("column", ["rich", "income"])
def test_a_frame_of_labels_is_keyed_by_task_or_by_label_column(make_adapter, column):
    adapter = make_adapter([A, kmtl.BinaryTask("rich", label="income")])
    y = pd.DataFrame({column: [0, 0, 1], "a": [1, 0, 1]})
    packed = pack(adapter, y)
    np.testing.assert_array_equal(packed["labels"][0], [[1, 0], [0, 0], [1, 1]])


def test_two_tasks_may_share_a_label_column(make_adapter):
    tasks = [
        kmtl.BinaryTask("is_rome", label="city", positive="Rome"),
        kmtl.BinaryTask("is_oslo", label="city", positive="Oslo"),
    ]
    y = pd.DataFrame({"city": ["Rome", "Oslo", "Bonn"]})
    packed = pack(make_adapter(tasks), y)
    np.testing.assert_array_equal(packed["labels"][0], [[1, 0], [0, 1], [0, 0]])


def test_the_name_of_a_task_comes_before_the_column_of_another(make_adapter):
    tasks = [kmtl.BinaryTask("a", label="b"), kmtl.BinaryTask("b", label="a")]
    packed = pack(make_adapter(tasks), pd.DataFrame({"a": [1, 1, 1], "b": [0, 0, 0]}))
    np.testing.assert_array_equal(packed["labels"][0], [[1, 0]] * 3)


def test_two_columns_for_one_task_are_an_error(make_adapter):
    y = pd.DataFrame({"rich": [0, 0, 1], "income": [0, 1, 1]})
    adapter = make_adapter([kmtl.BinaryTask("rich", label="income")])
    with pytest.raises(ValueError, match=r"one column for task 'rich'. .* and 'income"):
        pack(adapter, y)


def test_repeated_columns_of_labels_are_an_error(make_adapter):
    y = pd.DataFrame([[0, 1]] * 3, columns=["a", "a"])
    with pytest.raises(ValueError, match=r"`columns of y` must be unique.*\['a'\]"):
        pack(make_adapter([A]), y)


def test_a_column_that_is_no_label_is_an_error(make_adapter):
    y = pd.DataFrame({"a": [0, 0, 1], "cty": [0, 0, 1]})
    with pytest.raises(ValueError, match=r"unknown task. .* 'cty'. Did you mean 'city"):
        pack(make_adapter([A, CITY]), y)


def test_an_unknown_task_in_y_is_an_error(make_adapter):
    with pytest.raises(ValueError, match=r"`y` names an unknown task. Received: 'aa'"):
        pack(make_adapter([A, B]), {"aa": [1, 0, 1]})


@pytest.mark.parametrize("y", [{}, {"a": None}, pd.DataFrame(index=range(3))])
def test_no_labels_at_all_are_an_error(make_adapter, y):
    with pytest.raises(ValueError, match="`y` must hold labels of a task"):
        pack(make_adapter([A]), y)


@pytest.mark.parametrize("y", [[[1, 0, 1]] * 2, ([1], [2]), np.zeros((3, 2))])
def test_several_tasks_need_a_dict(make_adapter, y):
    with pytest.raises(ValueError, match=r"dict or a DataFrame .* Tasks: \['a', 'b'\]"):
        pack(make_adapter([A, B]), y)


def test_no_y_is_an_error_for_arrays(make_adapter):
    with pytest.raises(ValueError, match="`y` must be given unless `x` is a DataFrame"):
        pack(make_adapter([A]), None)


@pytest.mark.parametrize("rows", [2, 4])
def test_labels_are_as_many_as_rows(make_adapter, rows):
    with pytest.raises(ValueError, match=f"as many as the inputs, 3. Received: {rows}"):
        pack(make_adapter([A]), [1] * rows)


def test_training_labels_that_are_all_missing_are_an_error(make_adapter):
    with pytest.raises(
        ValueError, match=r"Every label of task 'a' is missing. .* `y` wi"
    ):
        pack(make_adapter([A, B]), {"a": [NAN] * 3, "b": ["yes"] * 3})


@pytest.mark.parametrize("options", [{"training": False}, {"whole": False}])
def test_labels_of_a_batch_may_all_be_missing(make_adapter, options):
    packed = pack(make_adapter([A]), {"a": [NAN] * 3}, **options)
    np.testing.assert_array_equal(packed["labels"][0], [[NAN]] * 3)


def test_a_positive_value_that_never_occurs_in_training_is_an_error(make_adapter):
    message = r"'b'\) never occurs .* 'yes'. Did you mean 'Yes'\? Values: \['No', 'Yes'"
    with pytest.raises(ValueError, match=message):
        pack(make_adapter([A, B]), {"b": ["No", "Yes", "No"]})


@pytest.mark.parametrize("options", [{"training": False}, {"whole": False}])
def test_a_positive_value_may_be_absent_from_a_batch(make_adapter, options):
    packed = pack(make_adapter([B]), ["no"] * 3, **options)
    np.testing.assert_array_equal(packed["labels"][0], [[0]] * 3)


def frame():
    return pd.DataFrame({"f": [1.0, 2.0, 3.0]})


class TestOrderOfRows:
    """Rows belong together by position; pandas objects in another order are refused."""

    @pytest.fixture
    def adapter(self, make_adapter):
        features = kmtl.TabularFeatures.from_frame(frame(), numeric=["f"])
        return make_adapter([A], features=features)

    @pytest.mark.parametrize(
        "y",
        [
            pd.Series([1, 0, 1], index=[2, 1, 0]),
            pd.DataFrame({"a": [1, 0, 1]}, index=[2, 1, 0]),
            {"a": pd.Series([1, 0, 1], index=[2, 1, 0])},
        ],
    )
    def test_labels_in_another_order_are_an_error(self, adapter, y):
        with pytest.raises(ValueError, match=r"by position. .* `y.loc\[x.index\]`, or"):
            adapter.batch(frame(), y, training=True)

    def test_weights_in_another_order_are_an_error(self, adapter):
        weight = pd.Series([1, 0, 1], index=[2, 1, 0])
        with pytest.raises(ValueError, match=r"`sample_weight.loc\[x.index\]`"):
            adapter.batch(frame(), [1, 0, 1], sample_weight=weight, training=True)

    @pytest.mark.parametrize("index", [[0, 1, 2], [7, 8, 9], [0, 0, 0]])
    def test_labels_of_another_index_are_matched_by_position(self, adapter, index):
        y = pd.Series([1, 0, 1], index=index)
        _, packed = adapter.batch(frame(), y, training=True)
        np.testing.assert_array_equal(packed["labels"][0], [[1], [0], [1]])


class TestSampleWeights:
    @pytest.mark.parametrize(
        "weight",
        [
            [1, 2, 3],
            np.array([[1], [2], [3]]),
            pd.Series([1, 2, 3], index=[5, 5, 5]),
            pd.array([1, 2, 3], dtype="Int64"),
            np.array([1, 2, 3], object),
        ],
    )
    def test_one_weight_a_row_is_for_all_tasks(self, make_adapter, weight):
        packed = pack(make_adapter([A]), [1, 0, 1], sample_weight=weight)
        np.testing.assert_array_equal(packed["row_weights"], [1, 2, 3])

    def test_weights_by_task_leave_the_others_at_one(self, make_adapter):
        weights = {"b": [1, 2, 3]}
        packed = pack(make_adapter([A, B]), {"a": [1, 0, 1]}, sample_weight=weights)
        np.testing.assert_array_equal(packed["weights"][0], [[1, 1], [1, 2], [1, 3]])

    @pytest.mark.parametrize("wrong", [-1, NAN, float("inf")])
    def test_a_wrong_weight_is_an_error(self, make_adapter, wrong):
        with pytest.raises(
            ValueError, match="`sample_weight` must be finite and at le"
        ):
            pack(make_adapter([A]), [1, 0, 1], sample_weight=[1, 1, wrong])

    @pytest.mark.parametrize("wrong", [["1", "2", "3"], [None, 1, 2], [pd.NA, 1, 2]])
    def test_weights_are_numbers(self, make_adapter, wrong):
        with pytest.raises(
            ValueError, match="must be numbers; a missing label needs no"
        ):
            pack(make_adapter([A]), [1, 0, 1], sample_weight=wrong)

    @pytest.mark.parametrize("wrong", [3.0, [1, 2], np.ones((3, 2)), np.ones((1, 3))])
    def test_weights_are_one_a_row(self, make_adapter, wrong):
        with pytest.raises(ValueError, match=r"one weight a row, 3. Received: shape="):
            pack(make_adapter([A, B]), {"a": [1, 0, 1]}, sample_weight=wrong)

    @pytest.mark.parametrize("wrong", [[1, 2], np.ones((3, 2))])
    def test_weights_of_a_task_are_one_a_row(self, make_adapter, wrong):
        with pytest.raises(
            ValueError, match=r"`sample_weight\['a'\]` must be one weigh"
        ):
            pack(make_adapter([A]), [1, 0, 1], sample_weight={"a": wrong})

    def test_an_unknown_task_is_an_error(self, make_adapter):
        weights = {"ab": [1, 2, 3]}
        with pytest.raises(
            ValueError, match=r"`sample_weight` names an unknown .* 'ab'"
        ):
            pack(make_adapter([A]), [1, 0, 1], sample_weight=weights)

    def test_a_column_needs_a_frame(self, make_adapter):
        with pytest.raises(
            ValueError, match="name a column only where `x` is a DataFra"
        ):
            pack(make_adapter([A]), [1, 0, 1], sample_weight="w")


class TestClassWeights:
    def test_they_are_factors_of_the_rows_of_a_class(self, make_adapter):
        weights = {"city": {"Oslo": 5}}
        y = {"city": ["Oslo", "Rome", None]}
        packed = pack(make_adapter([CITY]), y, class_weight=weights)
        np.testing.assert_array_equal(packed["class_weights"][0], [[5], [1], [1]])

    def test_those_of_fit_come_before_those_of_the_task(self, make_adapter):
        adapter = make_adapter([kmtl.BinaryTask("a", class_weight={0: 2, 1: 3})])
        packed = pack(adapter, [0, 1, 1], class_weight={"a": {1: 7}})
        np.testing.assert_array_equal(packed["class_weights"][0], [[1], [7], [7]])

    def test_they_count_in_training_only(self, make_adapter):
        adapter = make_adapter([kmtl.BinaryTask("a", class_weight={1: 3})])
        assert "class_weights" not in pack(adapter, [0, 1, 1], training=False)

    @pytest.mark.parametrize("weights", [{0: 2, 1: 3}, {0: 2, "yes": 3}, {1: 3, 0: 2}])
    def test_binary_ones_are_by_value_or_by_zero_and_one(self, make_adapter, weights):
        adapter = make_adapter([B])
        packed = pack(adapter, ["no", "yes", "no"], class_weight={"b": weights})
        np.testing.assert_array_equal(packed["class_weights"][0], [[2], [3], [2]])

    def test_values_come_before_zero_and_one(self, make_adapter):
        adapter = make_adapter([kmtl.BinaryTask("a", classes=[1, 0])])
        packed = pack(adapter, [1, 0, 1], class_weight={"a": {0: 5}})
        np.testing.assert_array_equal(packed["class_weights"][0], [[1], [5], [1]])

    @pytest.mark.parametrize("value", ["Osl", 0, None])
    def test_a_value_that_is_no_class_is_an_error(self, make_adapter, value):
        weights = {"city": {value: 5}}
        with pytest.raises(
            ValueError, match=r"no class of task 'city'.* \['Rome', 'Osl"
        ):
            pack(make_adapter([CITY]), {"city": ["Rome"] * 3}, class_weight=weights)

    def test_a_value_of_a_binary_task_must_be_known(self, make_adapter):
        weights = {"b": {"No": 2, "yes": 3}}
        with pytest.raises(
            ValueError, match=r"'No' is no class .* named with `classes=`"
        ):
            pack(make_adapter([B]), ["no", "yes", "no"], class_weight=weights)

    def test_a_class_named_twice_is_an_error(self, make_adapter):
        weights = {"b": {1: 2, "yes": 3}}
        with pytest.raises(ValueError, match="task 'b' names one class twice"):
            pack(make_adapter([B]), ["no", "yes", "no"], class_weight=weights)

    @pytest.mark.parametrize("wrong", [-1, NAN, "2"])
    def test_a_wrong_factor_is_an_error(self, make_adapter, wrong):
        with pytest.raises(
            ValueError, match=r"`class_weight of task 'a'\[1\]` must be a"
        ):
            pack(make_adapter([A]), [0, 1, 1], class_weight={"a": {1: wrong}})

    def test_the_form_of_keras_is_told_from_ours(self, make_adapter):
        with pytest.raises(
            ValueError, match=r"names an unknown task. Received: 0. Known"
        ):
            pack(make_adapter([A]), [0, 1, 1], class_weight={0: 1, 1: 5})

    @pytest.mark.parametrize("wrong", [[1, 5], {"a": [1, 5]}])
    def test_they_are_a_dict_of_dicts(self, make_adapter, wrong):
        with pytest.raises(TypeError, match="must be a dict of "):
            pack(make_adapter([A]), [0, 1, 1], class_weight=wrong)

    def test_a_regression_has_none(self, make_adapter):
        with pytest.raises(
            ValueError, match="`class_weight` needs classes, which Regr"
        ):
            pack(make_adapter([AGE]), [0, 1, 1], class_weight={"age": {0: 1}})


def test_a_thousand_tasks_are_packed_within_seconds(make_adapter):
    tasks = [kmtl.BinaryTask(f"t{i}") for i in range(1_000)]
    adapter = make_adapter(tasks)
    labels = np.random.default_rng(0).integers(0, 2, 10_000).astype("float64")
    y = {task.name: labels for task in tasks}
    start = time.perf_counter()
    adapter.batch(np.zeros((10_000, 2)), y, training=True)
    assert time.perf_counter() - start < 5.0  # about 0.5 s on two idle cores


def test_a_label_counts_only_where_its_condition_holds(make_adapter):
    b = kmtl.RegressionTask("b", only_if="a")
    packed = pack(make_adapter([A, b]), {"a": [1, 0, NAN], "b": [5, 6, 7]})
    np.testing.assert_array_equal(packed["labels"][1], [[5], [NAN], [NAN]])


def test_a_condition_without_labels_does_not_hold(make_adapter):
    b = kmtl.RegressionTask("b", only_if="a")
    with pytest.raises(ValueError, match="does not count, as that of task 'a' is not"):
        pack(make_adapter([A, b]), {"b": [5, 6, 7]})


def test_a_condition_on_a_row_holds_for_each_of_its_elements():
    pixels = kmtl.RegressionTask("b", only_if="a", head=lambda x: x)
    tasks = (A, pixels)
    packer = kmtl.data.Packer(
        tasks=tasks,
        groups=(),
        shapes=((), (2,)),
        mean=np.zeros(2),
        scale=np.ones(2),
        dtype="float32",
    )
    encoded = packer.encode({"a": [1, 0], "b": [[5, 6], [7, 8]]})
    np.testing.assert_array_equal(encoded[1], [[5, 6], [NAN, NAN]])


def test_a_condition_an_element_needs_labels_an_element():
    pixels = kmtl.BinaryTask("a", head=lambda x: x)
    packer = kmtl.data.Packer(
        tasks=(pixels, kmtl.RegressionTask("b", only_if="a")),
        groups=(),
        shapes=((2,), ()),
        mean=np.zeros(2),
        scale=np.ones(2),
        dtype="float32",
    )
    with pytest.raises(ValueError, match=r"labels of one shape\. .* \(2, 2\) of task"):
        packer.encode({"a": [[1, 0], [1, 1]], "b": [7, 8]})
