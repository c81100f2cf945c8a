"""Bad input of a model gets a clear error, never a wrong result."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import kmtl

NAN = float("nan")
X = np.linspace(-1, 1, 16, dtype="float32").reshape(8, 2)
Y = {"a": [0, 1] * 4, "city": ["Rome", "Oslo"] * 4, "age": np.arange(8.0)}
TASKS = [
    kmtl.BinaryTask("a"),
    kmtl.MulticlassTask("city", classes=["Rome", "Oslo", "Bonn"]),
    kmtl.RegressionTask("age"),
]
FRAME = pd.DataFrame({"f": [1.0, 2.0] * 4, "town": ["u", "v", "u", "u"] * 2, **Y})


@pytest.fixture
def model():
    model = kmtl.build_mtl_model((2,), TASKS, trunk=kmtl.trunks.MLP([4]))
    model.compile(run_eagerly=True)
    model.adapt_labels(Y)
    return model


@pytest.fixture
def table_model():
    model = kmtl.build_mtl_model(FRAME, TASKS, trunk=kmtl.trunks.MLP([4]))
    model.compile(run_eagerly=True)
    return model


def dataset(*parts):
    return tf.data.Dataset.from_tensor_slices(parts or (X, Y)).batch(4)


class TestLabels:
    @pytest.mark.parametrize(
        ("y", "message"),
        [
            (
                {"ctiy": Y["city"]},
                r"unknown task. Received: 'ctiy'. Did you mean 'city'",
            ),
            (
                {"a": [0, 1, 2, 1] * 2},
                r"must be 0 and 1; name .*Received: \[0.0, 1.0, 2",
            ),
            ({"a": [-1, 1] * 4}, "`positive=1` if -1 .* or `missing=-1`"),
            ({"a": ["no", "yes"] * 4}, "counts as 1 with `positive=`"),
            ({"a": [NAN] * 8}, "Every label of task 'a' is missing"),
            ({"city": ["Roma"] * 8}, r"Received: \['Roma'\]. Did you mean 'Rome'"),
            ({"city": np.eye(8)}, r"labels.argmax\(axis=-1\)"),
            ({"city": [0, 1] * 4}, r"among its classes, \['Rome', 'Oslo', 'Bonn'\]"),
            ({"age": [np.inf] * 8}, "must be finite; use NaN for a missing label"),
            ({"age": ["old"] * 8}, r"must be numbers. Received: \['old'\]"),
            ({"age": np.zeros((8, 2))}, r"shape \(rows\). Received: shape=\(8, 2\)"),
            ({"age": [1.0] * 7}, "as many as the inputs, 8. Received: 7"),
            ({}, "`y` must hold labels of a task"),
            (np.zeros((8, 3)), "`y` must be a dict or a DataFrame"),
            (None, "`y` must be given unless `x` is a DataFrame"),
        ],
    )
    def test_wrong_labels_are_an_error_before_training(self, model, y, message):
        with pytest.raises(ValueError, match=message):
            model.fit(X, y)

    def test_a_class_seen_in_validation_only_is_an_error(self, model):
        y = {**Y, "city": ["Bern"] * 8}
        with pytest.raises(
            ValueError, match=r"Received: \['Bern'\]..* with `classes=`"
        ):
            model.fit(X, Y, validation_data=(X, y))

    def test_a_class_without_training_rows_passes(self, model):
        y = {**Y, "city": ["Bonn"] * 8}
        model.fit(X, Y, validation_data=(X, y), verbose=0)

    def test_a_frame_without_a_label_column_is_an_error(self, table_model):
        message = "no label column for task 'age'.* or pass `y` without the task"
        with pytest.raises(ValueError, match=message):
            table_model.evaluate(FRAME.drop(columns="age"))

    def test_labels_in_another_order_than_the_frame_are_an_error(self, table_model):
        with pytest.raises(ValueError, match="matched by position"):
            table_model.fit(FRAME, FRAME[["a", "age"]][::-1])


class TestInputs:
    @pytest.mark.parametrize(
        ("x", "message"),
        [
            (np.full((8, 2), NAN), r"finite. Received: nan at \(0, 0\) and 15 more"),
            (np.full((8, 2), np.inf), "Impute missing values, or build"),
            (X.astype(str), "must be numbers. Received: dtype=str"),
            (X.astype(object), "must be numbers. Received: dtype=object"),
            (np.zeros((8, 3)), r"shape \(rows, 2\). Received: shape=\(8, 3\)"),
            (np.zeros((0, 2)), "at least one row"),
            ({"input": X}, "lacks the input 'inputs'. Did you mean 'input'"),
            (None, "must be numbers. Received: dtype=object"),
        ],
    )
    def test_wrong_arrays_are_an_error(self, model, x, message):
        with pytest.raises(ValueError, match=message):
            model.fit(x, Y)
        with pytest.raises(ValueError, match=message):
            model.predict(x)

    def test_a_frame_in_a_model_of_arrays_is_an_error(self, model):
        with pytest.raises(
            TypeError, match=r"Build the model with `build_mtl_model\(fra"
        ):
            model.predict(FRAME)

    def test_pixels_in_a_float_input_are_an_error(self):
        model = kmtl.build_mtl_model((8, 8, 1), TASKS[:1])
        with pytest.raises(ValueError, match=r"uint8 pixels .* or divide by 255"):
            model.predict(np.zeros((2, 8, 8, 1), "uint8"))

    def test_floats_in_an_input_of_pixels_are_an_error(self):
        pixels = np.zeros((2, 8, 8, 1), "uint8")
        model = kmtl.build_mtl_model(pixels, TASKS[:1])
        with pytest.raises(ValueError, match=r"must be integers .* cut off"):
            model.predict(pixels / 255)

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            (lambda f: f.drop(columns="town"), ValueError, "lacks the column 'town'"),
            (
                lambda f: f.assign(town=1),
                TypeError,
                "'town' must hold strings. Receive",
            ),
            (
                lambda f: f.assign(f="x"),
                TypeError,
                "'f' must hold numbers. Received: 'x",
            ),
            (lambda f: f.assign(f=np.inf), ValueError, "'f' must be finite"),
            (lambda f: f.iloc[:0], ValueError, "at least one row"),
            (
                lambda f: f.to_numpy(),
                TypeError,
                "must be a DataFrame or a dict of colu",
            ),
        ],
    )
    def test_a_wrong_frame_is_an_error(self, table_model, change, error, message):
        with pytest.raises(error, match=message):
            table_model.predict(change(FRAME))

    @pytest.mark.parametrize("data", [iter([(X, Y)]), ((x, y) for x, y in [(X, Y)])])
    @pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
    def test_a_generator_names_the_remedy(self, model, method, data):
        with pytest.raises(TypeError, match=r"`tf.data.Dataset.from_generator`"):
            getattr(model, method)(data)

    def test_a_keras_dataset_names_the_remedy(self, model):
        class Batches(keras.utils.PyDataset):
            def __len__(self):
                return 1

            def __getitem__(self, index):
                return X, Y

        with pytest.raises(TypeError, match=r"Received: Batches. .*from_generator"):
            model.fit(Batches())


class TestDatasets:
    @pytest.mark.parametrize("method", ["fit", "evaluate"])
    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (dataset(X), r"must give \(x, y\) or \(x, y, sample_weight\)"),
            (dataset(X, Y).unbatch(), r"call `dataset.batch\(batch_size\)`"),
            (dataset({"x": X}, Y), "lacks the input 'inputs'"),
            (dataset(X, {"b": Y["a"]}), "unknown task. Received: 'b'"),
            (dataset(X, Y, {"b": X[:, 0]}), "`sample_weight` names an unknown task"),
            (dataset(np.zeros((8, 3)), Y), r"shape \(batch, 2\)"),
        ],
        ids=["no labels", "rows", "names", "task", "weights", "shape"],
    )
    def test_a_dataset_of_wrong_form_is_an_error(self, model, method, data, message):
        with pytest.raises(ValueError, match=message):
            getattr(model, method)(data)

    def test_a_wrong_label_is_an_error_when_it_is_read(self, model):
        data = dataset(X, {**Y, "city": ["Rome"] * 7 + ["Roma"]})
        with pytest.raises(tf.errors.InvalidArgumentError, match="Did you mean 'Rome'"):
            model.evaluate(data, verbose=0)

    def test_a_task_without_labels_is_named_once_after_the_first_epoch(self, model):
        data = dataset(X, {**Y, "a": [NAN] * 8})
        with pytest.warns(UserWarning, match=r"No label counted .*\['a'\]") as found:
            model.fit(data, validation_data=dataset(), epochs=2, verbose=0)
        assert sum("No label counted" in str(each.message) for each in found) == 1

    def test_a_task_that_a_dataset_does_not_name_is_left_out(self, model):
        assert np.isnan(
            model.fit(dataset(X, {"age": Y["age"]}), verbose=0).history["a_loss"]
        )

    def test_inputs_of_unknown_rank_have_the_shape_of_the_model(self, model):
        data = dataset()
        unknown = tf.data.Dataset.from_generator(
            lambda: (x for x, _ in data), output_types=tf.float32
        )
        unknown = unknown.apply(tf.data.experimental.assert_cardinality(len(data)))
        found = model.predict(unknown, verbose=0)["age"]
        np.testing.assert_array_equal(found, model.predict(data, verbose=0)["age"])

    def test_labels_beside_a_dataset_are_an_error(self, model):
        with pytest.raises(
            ValueError, match="must come from the dataset when `x` is one"
        ):
            model.fit(dataset(), Y)

    def test_an_endless_dataset_needs_a_number_of_steps(self, model):
        stop = keras.callbacks.LambdaCallback(on_train_batch_end=_stop)
        with pytest.raises(
            ValueError, match="endless dataset and steps_per_epoch=None"
        ):
            model.fit(dataset().repeat(), callbacks=[stop], verbose=0)

    def test_an_endless_dataset_trains_for_its_steps(self, model):
        model.fit(dataset().repeat(), steps_per_epoch=3, verbose=0)

    @pytest.mark.parametrize("data", [[X], "x", (X, Y, None, None), X])
    def test_validation_data_of_wrong_form_is_an_error(self, model, data):
        with pytest.raises(ValueError, match=r"`(validation_data|y)` must be "):
            model.fit(X, Y, validation_data=data)


def _stop(batch, logs):
    del logs
    raise AssertionError(f"batch {batch} was trained")


class TestWeights:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"sample_weight": [-1.0] * 8}, "must be finite and at least 0"),
            ({"sample_weight": [NAN] * 8}, "a missing label needs no weight"),
            (
                {"sample_weight": {"b": [1] * 8}},
                "`sample_weight` names an unknown task",
            ),
            ({"sample_weight": [1] * 7}, "one weight a row, 8. Received"),
            ({"sample_weight": np.ones((8, 3))}, "one weight a row, 8. Received"),
            ({"sample_weight": "w"}, "name a column only where `x` is a DataFrame"),
            ({"class_weight": {"b": {0: 1}}}, "`class_weight` names an unknown task"),
            ({"class_weight": {0: 1, 1: 5}}, "`class_weight` names an unknown task"),
            ({"class_weight": {"a": {0: -1}}}, "must be a finite number of at least 0"),
            ({"class_weight": {"city": {"Roma": 1}}}, "'Roma' is no class .* 'Rome'"),
            ({"class_weight": {"age": {0: 1}}}, "needs classes, which RegressionTask"),
        ],
    )
    def test_wrong_weights_are_an_error(self, model, options, message):
        with pytest.raises(ValueError, match=message):
            model.fit(X, Y, **options)

    @pytest.mark.parametrize("weights", [{"ag": 1.0}, {"b": 1.0}])
    def test_loss_weights_of_unknown_tasks_are_an_error(self, model, weights):
        with pytest.raises(ValueError, match="`loss_weights` names an unknown task"):
            model.loss_weights = weights

    @pytest.mark.parametrize("weight", [-1.0, NAN, float("inf"), "1", None])
    def test_wrong_loss_weights_are_an_error(self, model, weight):
        with pytest.raises(ValueError, match=r"`loss_weights\['a'\]` must be a finite"):
            model.loss_weights["a"] = weight


class TestCompile:
    @pytest.mark.parametrize("name", ["loss", "metrics", "weighted_metrics"])
    def test_losses_and_metrics_belong_to_the_tasks(self, model, name):
        with pytest.raises(
            TypeError, match=rf"`{name}` belongs to the tasks: BinaryTask"
        ):
            model.compile(**{name: "mse"})

    def test_a_misspelt_setting_is_named(self, model):
        with pytest.raises(TypeError, match=r"'jit_compil'. Did you mean 'jit_compile"):
            model.compile(jit_compil=True)

    def test_a_distribution_that_keras_ignores_is_refused(self, model):
        distribution = keras.distribution.DataParallel(devices=["cpu:0"])
        keras.distribution.set_distribution(distribution)
        try:
            with pytest.raises(
                ValueError, match=r"under `tf.distribute.MirroredStrategy"
            ):
                model.compile()
        finally:
            keras.distribution.set_distribution(None)

    @pytest.mark.parametrize(
        ("method", "data"), [("predict", (X,)), ("evaluate", (X, Y))]
    )
    def test_statistics_of_labels_come_first(self, method, data):
        model = kmtl.build_mtl_model((2,), TASKS, trunk=kmtl.trunks.MLP([4]))
        with pytest.raises(ValueError, match=r"'age'.* call `fit` or `adapt_labels\(y"):
            getattr(model, method)(*data)

    def test_an_unknown_task_cannot_be_frozen(self, model):
        with pytest.raises(ValueError, match=r"`task` names an unknown task. .* 'aeg'"):
            model.set_trainable("aeg", False)


def test_a_loss_that_turns_non_finite_names_its_task_and_batch():
    def explode(y_true, y_pred):
        return (y_true - y_pred)[:, 0] / (y_true[:, 0] - 5.0)

    task = kmtl.RegressionTask("b", loss=explode, standardize=False)
    model = kmtl.build_mtl_model((2,), [*TASKS, task], trunk=kmtl.trunks.MLP([4]))
    model.compile(run_eagerly=True)
    y = {**Y, "b": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]}
    with pytest.raises(
        FloatingPointError, match="task 'b' is not finite at batch 3 of "
    ):
        model.fit(X, y, batch_size=2, shuffle=False, verbose=0)
