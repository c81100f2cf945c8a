"""Properties of multi-task learning that hold whatever the weights are."""

import keras
import numpy as np
import pytest
from small import (
    build,
    evaluate,
    fit,
    head_slices,
    some_inputs,
    some_labels,
    some_tasks,
    weights_by_path,
)

import kmtl
from kmtl import BinaryTask, MulticlassTask, RegressionTask


@pytest.fixture
def batch():
    return some_inputs(), some_labels(some_tasks())


def encoder_of(model):
    return model.encoder.get_weights()


def assert_equal_weights(some, others, **tolerance):
    for one, other in zip(some, others, strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


@pytest.mark.usefixtures("in_float64")
def test_a_loss_weight_of_zero_equals_the_task_removed(batch):
    x, y = batch
    model = build(some_tasks(), loss_weights={"colour": 0.0, "buy": 0.0})
    fewer = build([some_tasks()[0], some_tasks()[2]])
    logs = fit(model, x, y)
    expected = fit(fewer, x, {name: y[name] for name in fewer.task_names})
    assert logs["loss"] == pytest.approx(expected["loss"], rel=1e-12)
    assert_equal_weights(encoder_of(model), encoder_of(fewer), rtol=1e-12)
    for name in fewer.task_names:
        assert_equal_weights(
            head_slices(model, name), head_slices(fewer, name), rtol=1e-12
        )


@pytest.mark.usefixtures("in_float64")
def test_a_task_with_no_labels_equals_the_task_removed(batch):
    x, y = batch
    model, fewer = build(some_tasks()), build(some_tasks()[:3])
    partial = {name: y[name] for name in fewer.task_names}
    logs, expected = fit(model, x, partial), fit(fewer, x, partial)
    assert logs["loss"] == pytest.approx(expected["loss"], rel=1e-12)
    assert_equal_weights(encoder_of(model), encoder_of(fewer), rtol=1e-12)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("task", ["click", "colour", "price"])
def test_missing_labels_equal_rows_removed(batch, task):
    x, y = batch
    kind = next(t for t in some_tasks() if t.name == task)
    missing = np.where(np.arange(24) % 3 == 0, np.nan, y[task])
    model, fewer = build([kind]), build([kind])
    kept = ~np.isnan(missing)
    logs = fit(model, x, {task: missing}, batch_size=24)
    expected = fit(fewer, x[kept], {task: y[task][kept]}, batch_size=24)
    assert logs == pytest.approx(expected, rel=1e-12)
    assert_equal_weights(model.get_weights(), fewer.get_weights(), rtol=1e-12)


@pytest.mark.usefixtures("in_float64")
def test_missing_labels_of_one_task_leave_its_siblings_alone(batch):
    x, y = batch
    model, full = build(some_tasks()), build(some_tasks())
    missing = {**y, "buy": np.where(np.arange(24) % 3 == 0, np.nan, y["buy"])}
    logs, expected = evaluate(model, x, missing), evaluate(full, x, y)
    assert logs["buy_loss"] != expected["buy_loss"]
    for name in ("click_loss", "colour_loss", "price_loss", "click_auc", "price_mae"):
        assert logs[name] == expected[name]


@pytest.mark.usefixtures("in_float64")
def test_a_loss_is_as_loud_with_a_third_of_its_labels(batch):
    x, y = batch
    x, y = np.tile(x, (3, 1)), {k: np.tile(v, 3) for k, v in y.items()}
    labelled = {**y, "click": np.where(np.arange(72) < 24, y["click"], np.nan)}
    model, full = build(some_tasks()), build(some_tasks())
    fit(model, x, labelled, batch_size=72)
    fit(full, x, y, batch_size=72)
    assert_equal_weights(model.get_weights(), full.get_weights(), rtol=1e-12)


@pytest.mark.usefixtures("in_float64")
def test_a_sample_weight_of_zero_equals_the_row_removed(batch):
    x, y = batch
    model, fewer = build(some_tasks()), build(some_tasks())
    weight = np.where(np.arange(24) % 4 == 1, 0.0, 1.0)
    kept = weight > 0
    logs = fit(model, x, y, sample_weight=weight, batch_size=24)
    expected = fit(fewer, x[kept], {k: v[kept] for k, v in y.items()}, batch_size=24)
    assert logs == pytest.approx(expected, rel=1e-12)
    assert_equal_weights(model.get_weights(), fewer.get_weights(), rtol=1e-12)


@pytest.mark.usefixtures("in_float64")
def test_integer_sample_weights_equal_rows_repeated(batch):
    x, y = batch
    model, repeated = build(some_tasks()), build(some_tasks())
    weight = np.arange(24) % 3 + 1
    logs = fit(model, x, y, sample_weight=weight, batch_size=24)
    more = {k: v.repeat(weight) for k, v in y.items()}
    expected = fit(repeated, x.repeat(weight, 0), more, batch_size=48)
    for name in ("click_auc", "buy_auc"):  # bins are placed by rows, not by weight
        assert logs.pop(name) == pytest.approx(expected.pop(name), abs=0.01)
    assert logs == pytest.approx(expected, rel=1e-11)
    assert_equal_weights(model.get_weights(), repeated.get_weights(), rtol=1e-11)


def test_a_sample_weight_of_zero_for_one_task_equals_its_label_missing(batch):
    x, y = batch
    model, missing = build(some_tasks()), build(some_tasks())
    weight = np.where(np.arange(24) % 4 == 1, 0.0, 1.0)
    logs = fit(model, x, y, sample_weight={"buy": weight})
    absent = {**y, "buy": np.where(weight > 0, y["buy"], np.nan)}
    assert logs == pytest.approx(fit(missing, x, absent), rel=1e-6)
    assert_equal_weights(model.get_weights(), missing.get_weights(), rtol=1e-6)


def test_a_missing_label_whose_loss_would_be_infinite_adds_nothing():
    def log_loss(y_true, y_pred):
        return keras.ops.sum(-keras.ops.log(y_true) + 0.0 * y_pred, axis=-1)

    task = RegressionTask("price", standardize=False, loss=log_loss)
    logs = fit(build([task]), some_inputs(2), {"price": [1.0, np.nan]})
    assert logs["price_loss"] == 0.0


@pytest.mark.parametrize("loss", ["msle", "mape", "log_cosh", None])
def test_a_batch_without_a_label_leaves_the_weights_finite(loss):
    tasks = [RegressionTask("price", standardize=False, loss=loss), BinaryTask("buy")]
    model = build(tasks)
    y = {"price": [np.nan] * 8 + [0.5] * 4, "buy": [0, 1] * 6}
    fit(model, some_inputs(12), y, batch_size=4)
    assert all(np.isfinite(w).all() for w in weights_by_path(model).values())


@pytest.mark.usefixtures("in_float64")
def test_class_weights_train_as_sample_weights_do(batch):
    x, y = batch
    weighted = build(some_tasks())
    factors = {"buy": {0: 1.0, 1: 5.0}, "colour": {2: 3.0}}
    fit(weighted, x, y, class_weight=factors)
    model = build(some_tasks())
    by_row = {
        "buy": np.where(y["buy"] == 1, 5.0, 1.0),
        "colour": np.where(y["colour"] == 2, 3.0, 1.0),
    }
    fit(model, x, y, sample_weight=by_row)
    assert_equal_weights(weighted.get_weights(), model.get_weights(), rtol=1e-12)


def test_class_weights_of_a_task_equal_those_of_fit(batch):
    x, y = batch
    ours = build([BinaryTask("buy", class_weight={1: 5.0}), *some_tasks()[:3]])
    given = build([BinaryTask("buy"), *some_tasks()[:3]])
    logs = fit(ours, x, y)
    assert logs == fit(given, x, y, class_weight={"buy": {1: 5.0}})


def test_class_weights_count_in_the_training_loss_only(batch):
    x, y = batch
    plain, weighted = build(some_tasks()), build(some_tasks())
    plain.compile(keras.optimizers.SGD(0.0))
    weighted.compile(keras.optimizers.SGD(0.0))
    logs = fit(weighted, x, y, class_weight={"buy": {1: 5.0}}, validation_data=(x, y))
    expected = fit(plain, x, y, validation_data=(x, y))
    assert logs.pop("buy_loss") != expected.pop("buy_loss")
    assert logs.pop("loss") != expected.pop("loss")
    assert logs == pytest.approx(expected, rel=1e-6)
    alone = evaluate(weighted, x, y)["buy_loss"]
    assert logs["val_buy_loss"] == pytest.approx(alone, rel=1e-6)


@pytest.mark.usefixtures("in_float64")
def test_the_order_of_tasks_changes_nothing(batch):
    x, y = batch
    model, other = build(some_tasks()), build(some_tasks()[::-1])
    logs, expected = fit(model, x, y), fit(other, x, y)
    assert logs == pytest.approx(expected, rel=1e-12)
    predictions, others = model.predict(x, verbose=0), other.predict(x, verbose=0)
    for name in model.task_names:
        np.testing.assert_allclose(predictions[name], others[name], rtol=1e-12)


def test_initial_values_do_not_depend_on_the_order_or_on_siblings():
    model = build(some_tasks(), head_units=(6,))
    other = build([some_tasks()[3], some_tasks()[1]], head_units=(6,))
    for name in other.task_names:
        pairs = zip(head_slices(model, name), head_slices(other, name), strict=True)
        for one, another in pairs:
            np.testing.assert_array_equal(one, another)


def test_another_seed_gives_other_initial_values():
    one, other = (build(some_tasks(), seed=s) for s in (0, 1))
    assert not np.allclose(head_slices(one, "buy")[0], head_slices(other, "buy")[0])


def test_siblings_differ_and_have_the_spread_of_a_dense_layer():
    tasks = [BinaryTask(f"task_{i}") for i in range(3)]
    model = build(tasks, trunk=kmtl.trunks.MLP([200]), head_units=(100,))
    kernels = [head_slices(model, task.name)[0] for task in tasks]
    glorot_uniform = np.sqrt(6 / (200 + 100)) / np.sqrt(3)
    assert [k.std() for k in kernels] == pytest.approx([glorot_uniform] * 3, rel=0.02)
    assert np.corrcoef([k.ravel() for k in kernels])[0, 1:] == pytest.approx(
        0, abs=0.03
    )


@pytest.mark.usefixtures("in_float64")
def test_units_of_labels_do_not_matter_when_standardized():
    x = some_inputs()
    price = some_labels(some_tasks())["price"]
    task = RegressionTask("price", metrics=["mae", "r2"])
    model, scaled = build([task]), build([task])
    logs = fit(model, x, {"price": price}, epochs=3)
    others = fit(scaled, x, {"price": price * 1000 + 5e6}, epochs=3)
    for name in ("loss", "price_loss", "price_r2"):
        assert others[name] == pytest.approx(logs[name], rel=1e-7)
    assert others["price_mae"] == pytest.approx(1000 * logs["price_mae"], rel=1e-7)
    ours, theirs = (m.predict(x, verbose=0)["price"] for m in (model, scaled))
    np.testing.assert_allclose(theirs, ours * 1000 + 5e6, rtol=1e-7)


def test_large_labels_keep_their_precision_in_float32():
    x = some_inputs()
    price = some_labels(some_tasks())["price"]
    model, scaled = build([RegressionTask("price")]), build([RegressionTask("price")])
    logs = fit(model, x, {"price": price}, epochs=3)
    others = fit(scaled, x, {"price": price * 1000 + 5e6}, epochs=3)
    assert others["price_loss"] == pytest.approx(logs["price_loss"], rel=1e-5)


def test_predictions_are_in_the_unit_of_the_label():
    model = build([RegressionTask("age")])
    model.adapt_labels({"age": [30.0, 50.0]})
    assert 30 < model.predict(some_inputs(), verbose=0)["age"].mean() < 50


def test_label_statistics_stay_until_adapted_anew():
    model = build([RegressionTask("age")])
    x = some_inputs(4)
    fit(model, x, {"age": [30.0, 50.0, 30.0, 50.0]})
    fit(model, x, {"age": [0.0, 1.0, 0.0, 1.0]})
    assert model.outputs_layer.label_statistics_on_host() == (40.0, 10.0)
    model.adapt_labels({"age": [0.0, 2.0, np.nan]})
    assert model.outputs_layer.label_statistics_on_host() == (1.0, 1.0)


def test_predicting_before_the_label_statistics_are_known_is_refused():
    model = build([RegressionTask("age"), BinaryTask("buy")])
    with pytest.raises(ValueError, match=r"`predict` needs mean .* \['age'\]"):
        model.predict(some_inputs(), verbose=0)


def test_one_labelled_row_in_a_batch_works():
    x, y = some_inputs(5), some_labels(some_tasks(), 5)
    alone = {k: np.where(np.arange(5) == 2, v, np.nan) for k, v in y.items()}
    model = build(some_tasks())
    expected = evaluate(model, x[2:3], {k: v[2:3] for k, v in y.items()})
    assert evaluate(model, x, alone) == pytest.approx(expected, rel=1e-6, nan_ok=True)


@pytest.mark.parametrize("value", [None, np.nan])
def test_labels_may_be_missing_in_every_form(value):
    labels = np.array([1, value, 0, value], dtype=object)
    model = build([BinaryTask("buy")])
    logs = evaluate(model, some_inputs(4), {"buy": labels})
    kept = evaluate(model, some_inputs(4)[[0, 2]], {"buy": [1, 0]})
    assert logs == pytest.approx(kept, rel=1e-6)


def test_a_value_can_mean_missing():
    model = build([MulticlassTask("colour", classes=3, missing=-1)])
    logs = evaluate(model, some_inputs(4), {"colour": [0, -1, 2, -1]})
    kept = evaluate(model, some_inputs(4)[[0, 2]], {"colour": [0, 2]})
    assert logs == pytest.approx(kept, rel=1e-6)
