"""`fit`, `evaluate` and `predict` take the same data in many forms."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import kmtl

NAN = float("nan")
ROWS = 24
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 3)).astype("float32")
Y = {
    "rich": ["no", "yes", "?"] * 8,
    "kind": RNG.integers(0, 3, ROWS),
    "age": np.where(RNG.random(ROWS) < 0.5, NAN, RNG.normal(40, 9, ROWS)),
}
WEIGHT = RNG.random(ROWS)
TASKS = [
    kmtl.BinaryTask("rich", positive="yes", missing="?"),
    kmtl.MulticlassTask("kind", classes=3),
    kmtl.RegressionTask("age"),
]
FRAME = pd.DataFrame({"f": X[:, 0], "town": ["u", "v"] * 12, "w": WEIGHT, **Y})


def build():
    model = kmtl.build_mtl_model((3,), TASKS, trunk=kmtl.trunks.MLP([4]))
    model.compile(run_eagerly=True)
    return model


@pytest.fixture
def model():
    return build()


@pytest.fixture
def table_model():
    features = kmtl.TabularFeatures.from_frame(FRAME, numeric=["f"], exclude=["w", *Y])
    model = kmtl.build_mtl_model(features, TASKS, trunk=kmtl.trunks.MLP([4]))
    model.compile(run_eagerly=True)
    return model


def history(model, *data, **options):
    keras.utils.set_random_seed(1)
    model.fit(*data, verbose=0, **{"shuffle": False, "batch_size": 8, **options})
    return model.history.history


@pytest.fixture(scope="module")
def history_of_arrays():
    keras.utils.set_random_seed(0)  # as for each test
    return history(build(), X, Y)


@pytest.mark.parametrize(
    "y",
    [
        {name: pd.Series(values) for name, values in Y.items()},
        {name: list(values) for name, values in Y.items()},
        {name: tf.constant(values)[:, tf.newaxis] for name, values in Y.items()},
        pd.DataFrame(Y),
        pd.DataFrame(Y).convert_dtypes(),
        pd.DataFrame(Y, index=range(100, 100 + ROWS)),
    ],
    ids=["series", "lists", "tensors", "frame", "nullable", "other index"],
)
def test_labels_of_every_form_train_the_same(model, history_of_arrays, y):
    assert history(model, X, y) == history_of_arrays


@pytest.mark.parametrize(
    "weight", [None, WEIGHT, {"age": WEIGHT}], ids=["none", "rows", "by task"]
)
def test_a_dataset_trains_like_arrays(model, weight):
    twin = keras.models.clone_model(model)
    twin.compile(run_eagerly=True)
    twin.set_weights(model.get_weights())
    parts = (X, Y) if weight is None else (X, Y, weight)
    dataset = tf.data.Dataset.from_tensor_slices(parts).batch(8)
    options = {"class_weight": {"rich": {"yes": 3.0, 0: 1.0}}}
    arrays = history(model, X, Y, sample_weight=weight, **options)
    assert history(twin, dataset, batch_size=None, **options) == arrays


def test_a_dataset_is_evaluated_and_predicted_like_arrays(model):
    model.adapt_labels(Y)
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    arrays = model.evaluate(X, Y, batch_size=8, verbose=0, return_dict=True)
    assert model.evaluate(dataset, verbose=0, return_dict=True) == arrays
    expected = model.predict(X, batch_size=8, verbose=0)
    found = model.predict(dataset, verbose=0)
    tf.nest.map_structure(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("names", [["age"], ["rich", "kind"]])
def test_tasks_left_out_have_no_loss(model, names):
    model.adapt_labels(Y)
    logs = model.evaluate(
        X, {name: Y[name] for name in names}, verbose=0, return_dict=True
    )
    known = {task.name: not np.isnan(logs[f"{task.name}_loss"]) for task in TASKS}
    assert known == {task.name: task.name in names for task in TASKS}
    assert np.isclose(logs["loss"], sum(logs[f"{name}_loss"] for name in names))


def test_a_frame_may_leave_out_tasks_by_its_labels(table_model):
    logs = history(table_model, FRAME, FRAME[["kind", "age"]])
    assert np.isnan(logs["rich_loss"]).all()
    assert np.isfinite(logs["age_loss"]).all()


def test_one_labelled_row_is_enough(model):
    y = {"age": [40.0] + [NAN] * (ROWS - 1), "kind": [None] * (ROWS - 1) + [2]}
    logs = history(model, X, y)
    assert np.isfinite(logs["loss"] + logs["age_loss"] + logs["kind_loss"]).all()


def test_one_row_is_enough(model):
    logs = history(model, X[:1], {"rich": ["yes"], "kind": [2], "age": [40.0]})
    assert np.isfinite(logs["loss"]).all()


def test_a_regression_may_be_left_out_of_the_first_fit(model):
    logs = history(model, X, {"kind": Y["kind"]})
    assert np.isfinite(logs["loss"]).all()


def test_a_batch_without_labels_is_a_step(model):
    model.adapt_labels(Y)
    logs = model.train_on_batch(X, {**Y, "age": [NAN] * ROWS}, return_dict=True)
    assert np.isnan(logs["age_loss"])


def test_a_column_holds_the_weights(table_model):
    twin = keras.models.clone_model(table_model)
    twin.compile(run_eagerly=True)
    twin.set_weights(table_model.get_weights())
    by_name = history(table_model, FRAME, sample_weight="w")
    assert by_name == history(twin, FRAME, sample_weight=WEIGHT)


def test_a_column_holds_the_weights_of_a_task(table_model):
    table_model.adapt_labels(FRAME)
    by_task = {"kind": "w", "age": np.ones(ROWS)}
    logs = history(table_model, FRAME, sample_weight=by_task, epochs=1)
    assert np.isfinite(logs["loss"]).all()


@pytest.mark.parametrize("name", ["ww", "weight"])
def test_a_column_of_weights_that_is_missing_is_an_error(table_model, name):
    with pytest.raises(ValueError, match=f"names no column of the frame. .* '{name}'"):
        table_model.fit(FRAME, sample_weight=name)


@pytest.mark.parametrize(
    "x",
    [
        FRAME[["town", "f"]],
        FRAME.assign(more="?"),
        {"f": FRAME["f"].to_list(), "town": FRAME["town"].to_list()},
        {"town": FRAME["town"].to_numpy(), "f": X[:, :1]},
    ],
    ids=["reordered", "more", "lists", "arrays"],
)
def test_a_table_is_predicted_in_every_form(table_model, x):
    table_model.adapt_labels(Y)
    expected = table_model.predict(FRAME, verbose=0)
    found = table_model.predict(x, verbose=0)
    tf.nest.map_structure(np.testing.assert_array_equal, found, expected)


def test_a_dataset_of_raw_columns_trains_like_the_frame(table_model):
    twin = keras.models.clone_model(table_model)
    twin.compile(run_eagerly=True)
    twin.set_weights(table_model.get_weights())
    columns = {"f": X[:, 0].astype("float64"), "town": FRAME["town"].to_list()}
    dataset = tf.data.Dataset.from_tensor_slices((columns, Y)).batch(8)
    found = history(twin, dataset, batch_size=None)
    expected = history(table_model, FRAME)
    tf.nest.map_structure(np.testing.assert_allclose, found, expected)


class TestPredictFrame:
    @pytest.mark.parametrize(
        "index",
        [
            range(5, 5 + ROWS),
            [3] * ROWS,
            pd.MultiIndex.from_product([["a", "b"], range(ROWS // 2)]),
        ],
        ids=["range", "repeated", "multi"],
    )
    def test_the_index_stays(self, table_model, index):
        table_model.adapt_labels(FRAME)
        frame = FRAME.set_axis(index)
        assert table_model.predict_frame(frame, verbose=0).index.equals(frame.index)

    def test_columns_are_named_by_task_and_class(self, table_model):
        table_model.adapt_labels(FRAME)
        found = table_model.predict_frame(FRAME, probabilities=True, verbose=0)
        names = ["rich", "rich_True", "kind", "kind_0", "kind_1", "kind_2", "age"]
        assert list(found) == names

    def test_values_are_those_of_the_labels(self):
        frame = FRAME.assign(
            flag=[True, False] * 12, zero=[0, 1] * 12, rich=["no", "yes"] * 12
        )
        tasks = [
            kmtl.BinaryTask("flag"),
            kmtl.BinaryTask("zero"),
            kmtl.BinaryTask("rich", positive="yes"),
        ]
        model = kmtl.build_mtl_model(
            frame[["town", "flag", "zero", "rich"]],
            tasks,
            trunk=kmtl.trunks.MLP([4]),
        )
        found = model.predict_frame(frame, verbose=0)
        assert found["flag"].dtype == "bool"
        assert found["zero"].dtype == "int64"
        assert set(found["rich"]) <= {"no", "yes"}
