"""Datasets of batches are packed by the code that packs arrays."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import kmtl
from kmtl.data import check_ends, encoded_labels, input_dataset, pack_dataset

NAN = float("nan")
A, RICH = kmtl.BinaryTask("a"), kmtl.BinaryTask("rich", positive="yes")
AGE = kmtl.RegressionTask("age")
CITY = kmtl.MulticlassTask("city", classes=["Rome", "Oslo"])
TASKS = [A, RICH, AGE, CITY]
X = np.arange(10.0).reshape(5, 2)
Y = {
    "a": [1, 0, 1, 0, 1],
    "rich": ["no", "yes", "", "yes", "no"],
    "age": [30.0, NAN, 50.0, 60.0, 70.0],
    "city": ["Rome", "Oslo", "Oslo", "Rome", "Rome"],
}
WEIGHTS = {"age": [1.0, 2.0, 3.0, 4.0, 5.0]}


def batches(*parts, size=2):
    return tf.data.Dataset.from_tensor_slices(parts).batch(size)


def pack(dataset, adapter, *, class_weight=None, training=True):
    packed = pack_dataset(
        dataset, adapter, class_weight=class_weight, training=training
    )
    return list(packed.as_numpy_iterator())


def joined(packed):
    """Batches of packed labels -> one, as arrays give it."""
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *packed)


@pytest.fixture
def adapter(make_adapter):
    return make_adapter(TASKS, mean=1.5, scale=3.0)


@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 3.0, 4.0, 5.0], WEIGHTS])
@pytest.mark.parametrize("class_weight", [None, {"city": {"Oslo": 5}}])
def test_a_dataset_gives_what_arrays_give(adapter, weight, class_weight):
    options = {"class_weight": class_weight, "training": True}
    expected = adapter.batch(X, Y, sample_weight=weight, **options)
    parts = (X, Y) if weight is None else (X, Y, weight)
    found = joined(pack(batches(*parts), adapter, class_weight=class_weight))
    tf.nest.map_structure(np.testing.assert_array_equal, found, expected)


def test_shapes_are_known_but_for_the_rows(adapter):
    dataset = batches(X, Y, WEIGHTS)
    packed = pack_dataset(dataset, adapter, class_weight=None, training=True)
    _, labels = packed.element_spec
    shapes = [tuple(leaf.shape) for leaf in tf.nest.flatten(labels)]
    assert shapes == [(None, 2), (None, 1), (None, 1)] * 2


def test_class_weights_count_in_training_only(adapter):
    weights = {"a": {1: 2.0}}
    [(_, y), *_] = pack(batches(X, Y), adapter, class_weight=weights, training=False)
    assert set(y) == {"labels"}


def test_a_task_left_out_is_missing_everywhere(adapter):
    [(_, y), *_] = pack(batches(X, {"rich": Y["rich"]}), adapter)
    np.testing.assert_array_equal(y["labels"][0], [[NAN, 0], [NAN, 1]])


def test_one_task_needs_no_dict(make_adapter):
    [(_, y), *_] = pack(batches(X, Y["a"]), make_adapter([A]))
    np.testing.assert_array_equal(y["labels"][0], [[1], [0]])


def test_a_batch_may_have_no_label(adapter):
    y = {"age": [NAN, NAN, 1.0, 2.0, 3.0]}
    [(_, first), *_] = pack(batches(X, y), adapter)
    np.testing.assert_array_equal(first["labels"][1], [[NAN], [NAN]])


def test_the_batches_of_a_generator_need_no_shapes(make_adapter):
    dataset = tf.data.Dataset.from_generator(
        lambda: iter([(X, Y["a"])]), output_types=(tf.float32, tf.int32)
    )
    [(x, y)] = pack(dataset, make_adapter([A]))
    np.testing.assert_array_equal(x["inputs"], X)
    np.testing.assert_array_equal(y["labels"][0][:, 0], Y["a"])


def test_inputs_may_be_a_dict_with_more_than_the_model_takes(make_adapter):
    dataset = batches({"inputs": X, "id": np.arange(5)}, Y["a"])
    [(x, _), *_] = pack(dataset, make_adapter([A]))
    assert set(x) == {"inputs"}


@pytest.mark.parametrize("parts", [(X,), (X, Y), (X, Y, WEIGHTS)])
def test_inputs_alone_are_taken_for_prediction(adapter, parts):
    found = [x["inputs"] for x in input_dataset(batches(*parts), adapter)]
    np.testing.assert_array_equal(np.concatenate(found), X)


def test_inputs_that_are_no_tuple_are_taken_for_prediction(adapter):
    dataset = tf.data.Dataset.from_tensor_slices(X).batch(2)
    found = [x["inputs"] for x in input_dataset(dataset, adapter)]
    np.testing.assert_array_equal(np.concatenate(found), X)


def test_labels_are_read_for_their_statistics(adapter):
    _, _, age, city = encoded_labels(batches(X, Y), adapter, None)
    np.testing.assert_array_equal(age, Y["age"])
    np.testing.assert_array_equal(city, [0, 1, 1, 0, 0])


def test_as_many_batches_as_steps_are_read(adapter):
    dataset = batches(X, Y).repeat()
    assert len(encoded_labels(dataset, adapter, 2)[0]) == 4


def test_an_endless_dataset_has_no_statistics(adapter):
    with pytest.raises(ValueError, match=r"endless dataset and steps_per_epoch=None."):
        encoded_labels(batches(X, Y).repeat(), adapter, None)


@pytest.mark.parametrize("data", [batches(X), X, pd.DataFrame()])
def test_other_data_ends(data):
    check_ends(data, None, "steps")


def test_an_empty_dataset_is_an_error(adapter):
    with pytest.raises(ValueError, match="A dataset must hold at least one batch"):
        encoded_labels(batches(X, Y).take(0), adapter, None)


@pytest.mark.parametrize("read", [pack, lambda d, a: encoded_labels(d, a, None)])
@pytest.mark.parametrize(
    "dataset",
    [
        tf.data.Dataset.from_tensor_slices(X).batch(2),
        tf.data.Dataset.from_tensor_slices((X,)).batch(2),
        tf.data.Dataset.from_tensor_slices({"inputs": X, "a": Y["a"]}).batch(2),
        tf.data.Dataset.from_tensor_slices((X, Y, WEIGHTS, WEIGHTS)).batch(2),
    ],
    ids=["x", "(x,)", "dict", "four"],
)
def test_a_dataset_without_labels_is_an_error(make_adapter, dataset, read):
    with pytest.raises(
        ValueError, match=r"must give \(x, y\) or \(x, y, sample_weight"
    ):
        read(dataset, make_adapter([A]))


@pytest.mark.parametrize("parts", [(X, Y), (X, np.zeros((5, 1))), (X, Y, [1.0] * 5)])
def test_a_dataset_without_batches_is_an_error(make_adapter, parts):
    dataset = tf.data.Dataset.from_tensor_slices(parts)
    with pytest.raises(ValueError, match=r"call `dataset.batch\(batch_size\)`"):
        pack(dataset, make_adapter([A, RICH, AGE, CITY][: len(parts[1])]))


def test_nor_can_it_be_predicted(adapter):
    dataset = tf.data.Dataset.from_tensor_slices(X)
    with pytest.raises(ValueError, match=r"call `dataset.batch\(batch_size\)`"):
        input_dataset(dataset, adapter)


@pytest.mark.parametrize("y", [(Y["a"], Y["age"]), Y["a"]])
def test_several_tasks_need_a_dict(adapter, y):
    with pytest.raises(
        ValueError, match=r"`y` must be a dict or a DataFrame .* Tasks: "
    ):
        pack(batches(X, y), adapter)


def test_an_unknown_task_in_y_is_an_error(adapter):
    with pytest.raises(
        ValueError, match=r"`y` names an unknown .* 'ag'. Did you mean 'a"
    ):
        pack(batches(X, {"ag": Y["age"]}), adapter)


def test_an_unknown_task_in_the_weights_is_an_error(adapter):
    with pytest.raises(
        ValueError, match=r"`sample_weight` names an unknown task. .* 'x'"
    ):
        pack(batches(X, Y, {"x": [1.0] * 5}), adapter)


def test_an_unknown_task_in_the_class_weights_is_an_error(adapter):
    with pytest.raises(
        ValueError, match=r"`class_weight` names an unknown task. .* 'x'"
    ):
        pack(batches(X, Y), adapter, class_weight={"x": {0: 1}})


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ({"a": [1, 2, 0, 1, 1]}, "must be 0 and 1; name the value"),
        ({"a": [1, -1, 0, 1, 1]}, "`positive=1` if -1 means no, or `missing=-1`"),
        ({"city": ["Rome", "Roma"] * 2 + ["Rome"]}, "Did you mean 'Rome'"),
        ({"age": [1.0, np.inf, 0.0, 0.0, 0.0]}, "must be finite; use NaN"),
        ({"city": np.eye(5)}, r"pass `labels.argmax\(axis=-1\)`"),
        ({"rich": [0, 1, 0, 1, 1]}, "is of another kind than the labels"),
    ],
)
def test_a_wrong_label_is_an_error_when_it_is_read(adapter, y, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        pack(batches(X, y), adapter)


@pytest.mark.parametrize("wrong", [-1.0, NAN])
def test_a_wrong_weight_is_an_error_when_it_is_read(adapter, wrong):
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="must be finite and at lea"
    ):
        pack(batches(X, Y, [1.0, wrong, 1.0, 1.0, 1.0]), adapter)


@pytest.mark.parametrize(
    ("spec", "x", "message"),
    [
        (((3,), "float32"), X, r"shape \(batch, 3\). Received: shape=\(None, 2\)"),
        (((2,), "float32"), X.astype(str), "must be numbers. Received: dtype=string"),
        (((2,), "int32"), X, "must be integers"),
        (((4, 4), "float32"), np.zeros((5, 4, 4), "uint8"), "dtype='uint8'.`, or divi"),
    ],
)
def test_inputs_of_the_wrong_form_are_an_error(make_adapter, spec, x, message):
    adapter = make_adapter([A], specs={"inputs": spec})
    with pytest.raises(ValueError, match=message):
        pack(batches(x, Y["a"]), adapter)


def test_a_last_axis_of_one_may_be_left_to_keras(make_adapter):
    adapter = make_adapter([A], specs={"inputs": ((1,), "float32")})
    assert pack(batches(X[:, 0], Y["a"]), adapter)


def test_an_input_that_is_missing_is_an_error(adapter):
    with pytest.raises(
        ValueError, match=r"lacks the input 'inputs'. Did you mean 'input'"
    ):
        pack(batches({"input": X}, Y), adapter)


def test_several_inputs_need_names(make_adapter):
    specs = {"left": ((2,), "float32"), "right": ((2,), "float32")}
    with pytest.raises(ValueError, match="must be a dict by column or input name"):
        pack(batches(X, Y["a"]), make_adapter([A], specs=specs))


class TestTables:
    """A dataset of raw columns is encoded batch by batch, as for serving."""

    TABLE = pd.DataFrame(
        {
            "size": [20.0, 30.0, 40.0, 20.0, 20.0],
            "town": ["Rome", "Oslo", "Oslo", "Rome", ""],
            "zone": [3, 4, 4, 3, 3],
            "member": [True, False, True, True, True],
        }
    )

    @pytest.fixture
    def features(self):
        return kmtl.TabularFeatures.from_frame(self.TABLE, categorical=["zone", "town"])

    @pytest.fixture
    def adapter(self, make_adapter, features):
        specs = {
            name: (tuple(tensor.shape[1:]), tensor.dtype)
            for name, tensor in features.encoded_inputs().items()
        }
        return make_adapter([A], specs=specs, features=features)

    @pytest.fixture
    def columns(self):
        return {name: self.TABLE[name].to_numpy() for name in self.TABLE} | {
            "town": self.TABLE["town"].to_list()
        }

    def test_columns_are_encoded_like_a_frame(self, adapter, features, columns):
        expected = features.encode(self.TABLE)
        found, _ = joined(pack(batches(columns, Y["a"]), adapter))
        tf.nest.map_structure(np.testing.assert_array_equal, found, expected)

    def test_columns_may_have_an_axis_of_one(self, adapter, features, columns):
        columns = {name: tf.expand_dims(c, 1) for name, c in columns.items()}
        found, _ = joined(pack(batches(columns, Y["a"]), adapter))
        expected = features.encode(self.TABLE)
        tf.nest.map_structure(np.testing.assert_array_equal, found, expected)

    def test_encoded_arrays_pass(self, adapter, features):
        encoded = features.encode(self.TABLE)
        found, _ = joined(pack(batches(encoded, Y["a"]), adapter))
        tf.nest.map_structure(np.testing.assert_array_equal, found, encoded)

    def test_a_column_that_is_missing_is_an_error(self, adapter, columns):
        del columns["town"]
        with pytest.raises(ValueError, match="lacks the input 'town'"):
            pack(batches(columns, Y["a"]), adapter)

    @pytest.mark.parametrize(
        ("name", "values", "message"),
        [
            ("town", [1, 2, 3, 4, 5], "'town' of the dataset must be string, .* int32"),
            ("size", ["a"] * 5, "'size' .* float64, as served. Received: string"),
            ("zone", [3.5] * 5, "'zone' .* int64, as served. Received: float32"),
        ],
    )
    def test_a_column_of_another_type_is_an_error(
        self, adapter, columns, name, values, message
    ):
        with pytest.raises(ValueError, match=message):
            pack(batches(columns | {name: values}, Y["a"]), adapter)

    def test_single_rows_are_an_error(self, adapter, columns):
        dataset = tf.data.Dataset.from_tensor_slices(columns)
        with pytest.raises(ValueError, match=r"call `dataset.batch\(batch_size\)`"):
            input_dataset(dataset, adapter)

    def test_columns_without_names_are_an_error(self, adapter):
        with pytest.raises(ValueError, match="must be a dict by column or input name"):
            pack(batches(X, Y["a"]), adapter)
