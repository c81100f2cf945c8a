"""Logs are exact over the rows of an epoch, whatever the batches are."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics as exact
from small import build, evaluate, fit, some_inputs, some_labels, some_tasks

from kmtl import BinaryTask, MulticlassTask, RegressionTask

ROWS = 43  # the last of batches of 8 holds 3 rows


def tasks():
    return [
        BinaryTask("click", metrics=["auc", "accuracy"]),
        MulticlassTask("colour", classes=3, metrics=["accuracy"]),
        RegressionTask("price", metrics=["mae", "mse", "rmse", "r2"]),
        BinaryTask("buy"),
    ]


def labels_with_gaps():
    labels = some_labels(tasks(), ROWS)
    labels["price"] = 40 + 10 * labels["price"]
    rng = np.random.default_rng(2)
    return {k: np.where(rng.random(ROWS) < 0.3, np.nan, v) for k, v in labels.items()}


def by_hand(model, x, y, weight=None):
    """Losses and metrics from the predictions, by NumPy and scikit-learn."""
    weight = np.ones(len(x)) if weight is None else weight
    outputs = model.predict(x, verbose=0)
    logs = {}
    for task in model.tasks:
        known = ~np.isnan(y[task.name]) & (weight > 0)
        arguments = y[task.name][known], outputs[task.name][known].astype(float)
        part = {BinaryTask: binary, MulticlassTask: multiclass, RegressionTask: number}
        values = part[type(task)](*arguments, weight[known])
        logs |= {f"{task.name}_{k}": v for k, v in values.items()}
    return logs


def binary(labels, outputs, weight):
    outputs = outputs[:, 0]
    return {
        "loss": exact.log_loss(labels, outputs, sample_weight=weight),
        "auc": exact.roc_auc_score(labels, outputs, sample_weight=weight),
        "accuracy": exact.accuracy_score(labels, outputs > 0.5, sample_weight=weight),
    }


def multiclass(labels, outputs, weight):
    hits = labels == outputs.argmax(-1)
    outputs = outputs / outputs.sum(-1, keepdims=True)
    return {
        "loss": exact.log_loss(labels, outputs, sample_weight=weight, labels=range(3)),
        "accuracy": np.average(hits, weights=weight),
    }


def number(labels, outputs, weight):
    error = outputs[:, 0] - labels
    return {
        "mae": np.average(abs(error), weights=weight),
        "mse": np.average(error**2, weights=weight),
        "rmse": np.sqrt(np.average(error**2, weights=weight)),
        "r2": exact.r2_score(labels, outputs[:, 0], sample_weight=weight),
    }


@pytest.fixture(scope="module")
def trained():
    keras.utils.set_random_seed(0)
    model = build(tasks())
    x, y = some_inputs(ROWS), labels_with_gaps()
    fit(model, x, y, epochs=2)
    return model, x, y


def assert_logs(logs, expected):
    auc = {name: value for name, value in expected.items() if name.endswith("auc")}
    others = {name: value for name, value in expected.items() if name not in auc}
    # R2 is one minus a number near one, so its rounding is about 1e-7.
    assert {n: logs[n] for n in others if n in logs} == pytest.approx(
        {n: v for n, v in others.items() if n in logs}, rel=1e-5, abs=1e-6
    )
    # Two scores in one bin count as a tie: a pair of few here, see test_auc.py.
    assert {n: logs[n] for n in auc} == pytest.approx(auc, abs=0.01)


@pytest.mark.parametrize(
    "batch_size", [pytest.param(1, marks=pytest.mark.slow), 8, ROWS]
)
def test_evaluate_is_exact_for_every_batch_size(trained, batch_size):
    model, x, y = trained
    logs = evaluate(model, x, y, batch_size=batch_size)
    assert_logs(logs, by_hand(model, x, y))


def test_evaluate_is_exact_with_sample_weights(trained):
    model, x, y = trained
    weight = np.arange(ROWS) % 4
    logs = evaluate(model, x, y, batch_size=8, sample_weight=weight)
    assert_logs(logs, by_hand(model, x, y, weight))


def test_fit_is_exact_when_nothing_moves(trained):
    model, x, y = trained
    learning_rate = model.optimizer.learning_rate
    before = float(learning_rate)
    learning_rate.assign(0.0)
    logs = fit(model, x, y, validation_data=(x[:13], {k: v[:13] for k, v in y.items()}))
    learning_rate.assign(before)
    assert_logs(logs, by_hand(model, x, y))
    part = evaluate(model, x[:13], {k: v[:13] for k, v in y.items()})
    validation = {k: v for k, v in logs.items() if k.startswith("val_")}
    assert validation == pytest.approx({f"val_{k}": v for k, v in part.items()})


def test_the_total_is_the_weighted_sum_of_the_losses(trained):
    model, x, y = trained
    model.loss_weights = {"buy": 0.25, "price": 3.0}
    logs = evaluate(model, x, y, batch_size=8)
    weights = dict(model.loss_weights)
    model.loss_weights = {"buy": 1.0, "price": 1.0}
    total = sum(w * logs[f"{name}_loss"] for name, w in weights.items())
    assert logs["loss"] == pytest.approx(total, rel=1e-6)


def test_the_total_holds_the_penalties():
    trunk = [keras.layers.Dense(8, kernel_regularizer=keras.regularizers.L2(0.5))]
    model = build(some_tasks(), trunk=trunk)
    logs = evaluate(model, some_inputs(ROWS), some_labels(some_tasks(), ROWS))
    kernel = model.encoder.get_weights()[0]
    losses = sum(logs[f"{name}_loss"] for name in model.task_names)
    assert logs["loss"] == pytest.approx(losses + 0.5 * (kernel**2).sum(), rel=1e-5)


@pytest.mark.parametrize("form", ["left_out", "all_nan"])
def test_a_task_without_a_label_is_nan_and_not_in_the_total(trained, form):
    model, x, y = trained
    partial = {k: v for k, v in y.items() if k != "click"}
    if form == "all_nan":
        partial["click"] = np.full(ROWS, np.nan)
    logs, full = evaluate(model, x, partial), evaluate(model, x, y)
    nan = {name for name, value in logs.items() if np.isnan(value)}
    assert nan == {"click_loss", "click_auc", "click_accuracy"}
    without = full["loss"] - full["click_loss"]
    assert logs["loss"] == pytest.approx(without, rel=1e-6)


def test_auc_of_one_class_is_nan_and_its_loss_is_not(trained):
    model, x, y = trained
    logs = evaluate(model, x, {"buy": np.where(y["buy"] == 0, np.nan, y["buy"])})
    assert np.isnan(logs["buy_auc"])
    assert np.isfinite(logs["buy_loss"])


def test_names_carry_the_task_also_with_one_task():
    model = build([BinaryTask("buy")])
    logs = evaluate(model, some_inputs(), some_labels(some_tasks()[3:]))
    assert set(logs) == {"loss", "buy_loss", "buy_auc"}
    assert logs["loss"] == logs["buy_loss"]


def test_a_list_is_in_the_order_of_the_dict(trained):
    model, x, y = trained
    values = model.evaluate(x, y, verbose=0)
    assert values == list(evaluate(model, x, y).values())


def test_every_epoch_counts_anew(trained):
    model, x, y = trained
    assert evaluate(model, x, y) == evaluate(model, x, y)


def within_one(y_true, y_pred):
    return keras.ops.abs(y_true - y_pred)[:, 0] < 1.0


def test_callables_and_keras_metrics_skip_missing_labels():
    names = [within_one, keras.metrics.MeanAbsoluteError(name="off"), "mse", "mae"]
    model = build([RegressionTask("price", metrics=names)])
    x, y = some_inputs(ROWS), labels_with_gaps()
    model.adapt_labels({"price": y["price"]})
    error = model.predict(x, verbose=0)["price"][:, 0] - y["price"]
    logs = evaluate(model, x, {"price": y["price"]}, batch_size=8)
    known = ~np.isnan(error)
    share = (abs(error[known]) < 1.0).mean()
    assert logs["price_within_one"] == pytest.approx(share, rel=1e-6)
    assert logs["price_off"] == pytest.approx(logs["price_mae"], rel=1e-5)


BINARY = [
    "precision",
    "recall",
    "binary_accuracy",
    keras.metrics.AUC(name="slow_auc"),
    keras.metrics.F1Score(threshold=0.5),
    keras.metrics.FalsePositives(),
]
MULTICLASS = [  # and whether labels are one-hot
    ("sparse_categorical_accuracy", False),
    (keras.metrics.SparseTopKCategoricalAccuracy(k=2), False),
    (keras.metrics.TopKCategoricalAccuracy(k=2), True),
    ("categorical_accuracy", True),
    (keras.metrics.F1Score(average="macro"), True),
    (keras.metrics.AUC(multi_label=True, num_labels=3), True),
    (keras.metrics.CategoricalCrossentropy(), True),
    (keras.metrics.SparseCategoricalCrossentropy(), False),
]


@pytest.fixture(scope="module")
def measured(trained):
    """Logs of a model with all these metrics, its predictions and the labels."""
    _, x, y = trained
    many = [metric for metric, _ in MULTICLASS]
    tasks = [
        BinaryTask("buy", metrics=BINARY),
        MulticlassTask("colour", classes=3, metrics=many),
    ]
    model = build(tasks)
    y = {task.name: y[task.name] for task in tasks}
    return evaluate(model, x, y, batch_size=8), model.predict(x, verbose=0), y


def assert_equals_keras(value, metric, labels, outputs):
    plain = keras.metrics.get(metric)
    plain.reset_state()
    plain.update_state(labels, outputs)
    assert value == pytest.approx(float(np.mean(plain.result())), rel=1e-5)


def name_of(metric):
    return metric if isinstance(metric, str) else metric.name


@pytest.mark.parametrize("metric", BINARY, ids=name_of)
def test_keras_metrics_of_binary_tasks_equal_keras(measured, metric):
    logs, outputs, y = measured
    known = ~np.isnan(y["buy"])
    labels = y["buy"][known, None]
    value = logs[f"buy_{name_of(metric)}"]
    assert_equals_keras(value, metric, labels, outputs["buy"][known])


@pytest.mark.parametrize(
    ("metric", "one_hot"), MULTICLASS, ids=[name_of(metric) for metric, _ in MULTICLASS]
)
def test_keras_metrics_of_multiclass_tasks_equal_keras(measured, metric, one_hot):
    logs, outputs, y = measured
    known = ~np.isnan(y["colour"])
    labels = y["colour"][known].astype(int)
    labels = np.eye(3)[labels] if one_hot else labels
    value = logs[f"colour_{name_of(metric)}"]
    assert_equals_keras(value, metric, labels, outputs["colour"][known])


def test_a_metric_object_given_to_two_tasks_counts_each_alone():
    metric = keras.metrics.BinaryAccuracy(name="hits")
    names = ["accuracy", metric]
    model = build(
        [BinaryTask("click", metrics=names), BinaryTask("buy", metrics=names)]
    )
    logs = evaluate(model, some_inputs(ROWS), some_labels(model.tasks, ROWS))
    assert logs["click_hits"] == pytest.approx(logs["click_accuracy"])
    assert logs["buy_hits"] == pytest.approx(logs["buy_accuracy"])
    assert logs["buy_hits"] != logs["click_hits"]


def test_steps_of_a_dataset_are_counted_once():
    y = some_labels(some_tasks(), ROWS)
    x = some_inputs(ROWS)
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    model = build(some_tasks())
    logs = evaluate(model, dataset, None)
    assert logs == pytest.approx(evaluate(model, x, y, batch_size=8), rel=1e-6)


def test_one_batch_has_its_own_logs():
    model = build(some_tasks())
    x, y = some_inputs(ROWS), some_labels(some_tasks(), ROWS)
    expected = evaluate(model, x, y, batch_size=ROWS)
    for _ in range(2):
        logs = model.test_on_batch(x, y, return_dict=True)
        assert logs == pytest.approx(expected, rel=1e-6)
    assert model.train_on_batch(x, y, return_dict=True) == pytest.approx(expected)
    assert model.test_on_batch(x, y) != pytest.approx(list(expected.values()))


def test_two_metrics_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"'buy' must have different names.*'auc'"):
        build([BinaryTask("buy", metrics=["auc", keras.metrics.AUC()])])


def test_a_metric_that_keras_does_not_know_is_refused():
    with pytest.raises(ValueError, match=r"`metrics` of task 'buy'.*'nonsense'"):
        build([BinaryTask("buy", metrics=["nonsense"])])
