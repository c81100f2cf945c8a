"""`build_mtl_model` takes inputs, tasks, trunks and heads of every kind."""

import dataclasses

import keras
import numpy as np
import pandas as pd
import pytest

import kmtl

A, AGE = kmtl.BinaryTask("a"), kmtl.RegressionTask("age")
CITY = kmtl.MulticlassTask("city", classes=["Rome", "Oslo", "Bonn"])
SMALL = kmtl.trunks.MLP([4])
LABELS = {
    "a": [0, 1, 0, 1],
    "age": [30.0, 40.0, 50.0, 60.0],
    "city": ["Rome", "Oslo", "Bonn", "Rome"],
}


@pytest.fixture
def table():
    return pd.DataFrame({"x": [1.0, 2.0, 1.0, 2.0], "c": list("uuvv"), **LABELS})


def build(inputs=(2,), tasks=(A,), **options):
    return kmtl.build_mtl_model(inputs, tasks, **{"trunk": SMALL, **options})


def fitted(model, x, y):
    model.compile(run_eagerly=True)
    return model.fit(x, y, verbose=0).history


@pytest.fixture
def features(table):
    return kmtl.TabularFeatures.from_frame(table, numeric=["x"], exclude=[*LABELS])


X = np.zeros((4, 3))


@pytest.mark.parametrize(
    ("inputs", "x"),
    [
        ((3,), X),
        ([3], X),
        (X, X),
        (keras.Input((3,)), X),
        (keras.Input((3,), name="anything"), {"anything": X}),
        ({"vector": (3,)}, {"vector": X}),
        ({"vector": X}, {"vector": X}),
        ({"vector": keras.Input((3,), name="vector")}, {"vector": X}),
    ],
)
def test_inputs_are_given_in_many_ways(inputs, x):
    assert build(inputs).predict(x, verbose=0)["a"].shape == (4, 1)


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.zeros((2, 4, 4, 1), "uint8"), "uint8"),
        (np.zeros((2, 3), "uint8"), "float32"),
        (np.zeros((2, 3), "float64"), "float32"),
        (np.zeros((2, 3), "int64"), "float32"),
        (np.zeros((2, 3), "bool"), "float32"),
    ],
)
def test_only_images_of_bytes_stay_bytes(array, dtype):
    assert kmtl.build_mtl_model(array, [A]).input.dtype == dtype


def test_a_frame_gives_features_classes_and_statistics(table):
    tasks = [A, kmtl.MulticlassTask("city"), AGE]
    model = build(table, tasks)
    assert model.features.names == ("x", "c")
    assert model.tasks[0].classes == (0, 1)
    assert model.tasks[1].classes == ("Bonn", "Oslo", "Rome")
    assert model.predict(table, verbose=0)["age"].shape == (4, 1)


def test_a_frame_is_left_as_it_is(table):
    before = table.copy()
    build(table, [A, AGE, CITY])
    pd.testing.assert_frame_equal(table, before)


def test_features_may_be_made_before(table, features):
    model = build(features, [A, AGE])
    assert "age_loss" in fitted(model, table, None)


def test_outputs_are_in_the_order_of_the_tasks():
    model = build(tasks=[CITY, A, kmtl.BinaryTask("b"), AGE])
    fitted(model, X[:, :2], LABELS)
    outputs = model.predict(X[:, :2], verbose=0)
    assert list(outputs) == model.task_names == ["city", "a", "b", "age"]


@pytest.mark.parametrize(
    "trunk",
    [
        SMALL,
        keras.layers.Dense(4),
        [keras.layers.Dense(4), keras.layers.ReLU()],
        keras.Sequential([keras.layers.Dense(4)]),
        lambda x: keras.ops.relu(keras.layers.Dense(4)(x)),
    ],
    ids=lambda trunk: type(trunk).__name__,
)
def test_a_trunk_is_of_any_kind(trunk):
    assert "a_loss" in fitted(build(trunk=trunk), np.zeros((4, 2)), LABELS["a"])


def test_a_table_and_an_image_meet_in_a_keras_model():
    image = keras.Input((4, 4, 1), name="image")
    table = keras.Input((2,), name="table")
    joined = keras.layers.Concatenate()([keras.layers.Flatten()(image), table])
    trunk = keras.Model({"image": image, "table": table}, keras.layers.Dense(4)(joined))
    model = build({"image": (4, 4, 1), "table": (2,)}, [A, AGE], trunk=trunk)
    x = {"table": np.zeros((4, 2)), "image": np.zeros((4, 4, 4, 1))}
    history = fitted(model, x, {"a": LABELS["a"], "age": LABELS["age"]})
    assert np.isfinite(history["loss"]).all()


@pytest.mark.slow
def test_a_network_of_keras_applications_is_a_trunk():
    trunk = keras.applications.MobileNetV2(
        (32, 32, 3), alpha=0.35, include_top=False, weights=None, pooling="avg"
    )
    model = kmtl.build_mtl_model((32, 32, 3), [A, CITY], trunk=trunk)
    x = np.random.default_rng(0).random((4, 32, 32, 3))
    history = fitted(model, x, {"a": LABELS["a"], "city": LABELS["city"]})
    assert np.isfinite(history["loss"]).all()


def test_a_head_of_its_own_takes_a_feature_map():
    head = [keras.layers.Conv2D(3, 1)]
    task = kmtl.MulticlassTask("pixel", classes=3, head=head)
    trunk = keras.layers.Conv2D(2, 3, padding="same")
    model = build((4, 4, 1), [task], trunk=trunk)
    history = fitted(model, np.zeros((2, 4, 4, 1)), np.zeros((2, 4, 4), int))
    assert np.isfinite(history["loss"]).all()


def test_a_regression_head_may_give_a_vector():
    task = kmtl.RegressionTask("box", head=keras.layers.Dense(4))
    history = fitted(build(tasks=[task]), np.zeros((3, 2)), np.eye(3, 4))
    assert np.isfinite(history["loss"]).all()


def test_everything_may_be_float64():
    keras.config.set_floatx("float64")
    try:
        model = build(tasks=[A, AGE, CITY])
        fitted(model, np.zeros((4, 2)), LABELS)
        assert model.predict(np.zeros((4, 2)), verbose=0)["age"].dtype == "float64"
    finally:
        keras.config.set_floatx("float32")


def test_loss_weights_come_before_those_of_the_tasks():
    tasks = [kmtl.BinaryTask("a", loss_weight=2.0), kmtl.BinaryTask("b", loss_weight=3)]
    model = build(tasks=tasks, loss_weights={"b": 0.5})
    assert model.loss_weights == {"a": 2.0, "b": 0.5}


class TestWrongArguments:
    def test_no_task_is_an_error(self):
        with pytest.raises(ValueError, match="`tasks` must hold at least one task"):
            build(tasks=[])

    def test_two_tasks_of_one_name_are_an_error(self):
        with pytest.raises(ValueError, match=r"must be unique. Repeated: \['a'\]"):
            build(tasks=[A, kmtl.RegressionTask("a")])

    def test_classes_must_be_known_without_a_frame(self):
        with pytest.raises(
            ValueError, match=r"`classes` of MulticlassTask\('city'\) must"
        ):
            build(tasks=[kmtl.MulticlassTask("city")])

    @pytest.mark.parametrize("weights", [{"b": 1}, {"aa": 1}, [1.0]])
    def test_loss_weights_of_unknown_tasks_are_an_error(self, weights):
        with pytest.raises(
            ValueError, match=r"`loss_weights` names an unknown task. Rec"
        ):
            build(loss_weights=weights)

    @pytest.mark.parametrize("weight", [-1, float("nan"), "1"])
    def test_a_wrong_loss_weight_is_an_error(self, weight):
        with pytest.raises(
            ValueError, match=r"`loss_weights\['a'\]` must be a finite nu"
        ):
            build(loss_weights={"a": weight})

    @pytest.mark.parametrize("units", [32, [0], "32", [8.0]])
    def test_wrong_head_units_are_an_error(self, units):
        with pytest.raises(ValueError, match="`head_units"):
            build(head_units=units)

    @pytest.mark.parametrize("inputs", [None, 8, "frame", [[1, 2]], {}, (1.5,)])
    def test_inputs_of_no_known_kind_are_an_error(self, inputs):
        with pytest.raises(
            TypeError, match=r"`inputs` must be a DataFrame, TabularFeatu"
        ):
            build(inputs)

    @pytest.mark.parametrize("name", [None, "b"])
    def test_a_named_input_bears_its_name(self, name):
        with pytest.raises(
            ValueError, match=r"called so: keras.Input\(..., name='a'\)"
        ):
            build({"a": keras.Input((2,), name=name)})

    def test_a_named_input_of_no_known_kind_is_an_error(self):
        with pytest.raises(
            TypeError, match=r"Input 'b' must be a keras.Input, an array"
        ):
            build({"a": (2,), "b": "c"})

    @pytest.mark.parametrize(
        "inputs", [np.array([["a"]]), pd.Series([1, 2]), np.zeros(3)]
    )
    def test_an_array_without_numbers_or_rows_is_an_error(self, inputs):
        with pytest.raises(
            ValueError, match="For columns of text, categories or dates u"
        ):
            build(inputs)

    def test_the_shape_of_all_samples_is_told_from_that_of_one(self):
        with pytest.raises(ValueError, match="that of one sample, without the rows"):
            kmtl.build_mtl_model((1000, 8), [A])

    @pytest.mark.parametrize("trunk", ["mlp", 3, [], kmtl.trunks.MLP, {}])
    def test_a_trunk_that_is_none_is_an_error(self, trunk):
        with pytest.raises(ValueError, match=r"`trunk` must be .* Received: "):
            build(trunk=trunk)

    def test_a_trunk_that_returns_no_tensor_is_an_error(self):
        with pytest.raises(
            ValueError, match="`trunk` must return one symbolic Keras ten"
        ):
            build(trunk=lambda x: None)  # noqa: ARG005

    @pytest.mark.parametrize("sharing", ["hard", kmtl.sharing.Hard, 3])
    def test_a_sharing_that_is_none_is_an_error(self, sharing):
        with pytest.raises(
            TypeError, match=r"object such as `kmtl.sharing.Hard\(\)`. Re"
        ):
            build(sharing=sharing)

    def test_a_feature_map_needs_pooling_or_a_head(self):
        message = r'feature map .* heads of \[.a.\] .*`pooling="avg"`.*`head=`'
        with pytest.raises(ValueError, match=message):
            build((8, 8, 1), trunk=keras.layers.Conv2D(4, 3))

    @pytest.mark.parametrize(("task", "expected"), [(A, 1), (CITY, 3)])
    def test_a_head_with_wrong_units_is_an_error(self, task, expected):
        task = dataclasses.replace(task, head=keras.layers.Dense(2))
        with pytest.raises(
            ValueError, match=rf"must end in {expected} units .* \(None, 2"
        ):
            build(tasks=[task])

    @pytest.mark.parametrize("head", ["dense", 3, []])
    def test_a_head_that_is_none_is_an_error(self, head):
        with pytest.raises(
            ValueError, match=r"`head of task 'a'` must be .* Received: "
        ):
            build(tasks=[kmtl.BinaryTask("a", head=head)])

    @pytest.mark.parametrize("loss", [3, "nope", {"a": 1}, ["mse"]])
    def test_a_loss_that_is_none_is_an_error(self, loss):
        with pytest.raises(
            ValueError, match="`loss` of task 'a' must be a Keras loss, it"
        ):
            build(tasks=[kmtl.RegressionTask("a", loss=loss)])

    @pytest.mark.parametrize("metric", [None, "nope", 3])
    def test_a_metric_that_is_none_is_an_error(self, metric):
        with pytest.raises(
            ValueError, match=r"`metrics` of task 'a' must .* Received: "
        ):
            build(tasks=[kmtl.RegressionTask("a", metrics=[metric])])


class TestWrongFrames:
    def test_an_empty_frame_is_an_error(self, table):
        with pytest.raises(ValueError, match=r"at least one row. Received: no rows"):
            build(table.iloc[:0])

    @pytest.mark.parametrize("change", [{"x": 0}, {"x": ("x", "y")}])
    def test_names_of_columns_are_text(self, table, change):
        table = table.set_axis([change.get(c, c) for c in table], axis=1)
        with pytest.raises(
            TypeError, match=r"must have strings as names\. .* Use frame.c"
        ):
            build(table)

    def test_names_of_columns_differ(self, table):
        with pytest.raises(ValueError, match=r"distinct names. Repeated: \['a'\]"):
            build(pd.concat([table, table[["a"]]], axis=1))

    def test_a_frame_of_labels_alone_is_an_error(self, table):
        with pytest.raises(ValueError, match="`columns` must hold at least one column"):
            build(table[["a"]])

    def test_a_label_column_that_is_missing_is_an_error(self, table):
        with pytest.raises(
            ValueError, match=r"no label column .* 'ag'. Did you mean 'age"
        ):
            build(table, [kmtl.RegressionTask("ag")])

    def test_a_label_that_is_a_feature_too_is_an_error(self, table):
        features = kmtl.TabularFeatures.from_frame(table, numeric=["x", "age"])
        with pytest.raises(
            ValueError, match=r"'age' .* a feature too; .* exclude=\['age"
        ):
            build(features, [AGE])

    @pytest.mark.parametrize("task", [A, AGE, kmtl.MulticlassTask("city")])
    def test_a_task_without_any_label_is_an_error(self, table, task):
        table[task.name] = None
        with pytest.raises(
            ValueError, match=r"Every label of task .* is missing in the t"
        ):
            build(table, [task])

    def test_a_positive_value_that_never_occurs_lists_the_values(self, table):
        task = kmtl.BinaryTask("at_home", label="city", positive="rome")
        with pytest.raises(
            ValueError, match=r"'rome'. Did you mean 'Rome'\? Values: \['"
        ):
            build(table, [task])

    def test_a_label_outside_the_classes_that_are_named_is_an_error(self, table):
        task = kmtl.MulticlassTask("city", classes=["Oslo", "Bonn"])
        with pytest.raises(
            ValueError, match=r"among its classes, \['Oslo', 'Bonn'\]. Rec"
        ):
            build(table, [task])

    def test_minus_one_in_binary_labels_names_both_remedies(self, table):
        table["a"] = [-1, 1, -1, 1]
        with pytest.raises(ValueError, match=r"`positive=1` if -1 .* or `missing=-1`"):
            build(table)

    @pytest.mark.parametrize(
        ("options", "values"),
        [({"positive": 1}, [-1, 1, -1, 1]), ({"missing": -1}, [-1, 1, 0, 1])],
    )
    def test_both_remedies_work(self, table, options, values):
        table["a"] = values
        assert build(table, [kmtl.BinaryTask("a", **options)]).tasks[0].units == 1

    def test_infinite_labels_are_an_error(self, table):
        table["age"] = [1.0, 2.0, np.inf, 3.0]
        with pytest.raises(
            ValueError, match=r"finite; use NaN .* Received: inf in row 2"
        ):
            build(table, [AGE])


def test_features_made_by_hand_are_taken_and_classes_are_found():
    frame = pd.DataFrame({"x": [1.0, 2.0] * 4, "id": range(8), "kind": list("ab") * 4})
    features = kmtl.TabularFeatures.from_frame(frame, exclude=["id", "kind"])
    tasks = [kmtl.MulticlassTask("kind")]
    model = kmtl.build_mtl_model(frame, tasks, features=features)
    assert model.features.names == ("x",)
    assert model.tasks[0].classes == ("a", "b")


def test_features_without_a_frame_are_an_error():
    frame = pd.DataFrame({"x": [1.0, 2.0]})
    features = kmtl.TabularFeatures.from_frame(frame)
    with pytest.raises(ValueError, match=r"`inputs` must be one.*inputs=tuple"):
        kmtl.build_mtl_model((1,), [kmtl.BinaryTask("a")], features=features)
