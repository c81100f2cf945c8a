"""Metrics of many tasks at once equal scikit-learn, task by task."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics as exact

from kmtl._objective import GroupBatch
from kmtl.metrics._vector import (
    R2,
    Accuracy,
    MeanAbsoluteError,
    MeanSquaredError,
    RootMeanSquaredError,
)

ROWS, TASKS = 50, 3
SCALE = np.array([1.0, 10.0, 0.1])


def updated(metric, labels, outputs, weights, scale=SCALE):
    """The result over two batches."""
    state = tf.zeros((TASKS, metric.width), metric.dtype)
    for part in (slice(0, 30), slice(30, None)):
        arrays = [tf.constant(a[part], "float32") for a in (labels, weights, outputs)]
        batch = GroupBatch(
            labels=arrays[0],
            weights=arrays[1],
            loss_weights=arrays[1],
            logits=arrays[2],
            outputs=arrays[2],
        )
        state = metric.update(state, batch, tf.constant(scale, "float32"))
    return metric.result(np.asarray(state))


@pytest.fixture
def numbers():
    rng = np.random.default_rng(0)
    labels = rng.normal(size=(ROWS, TASKS))
    outputs = labels + rng.normal(size=labels.shape)
    return labels, outputs[..., None], rng.integers(0, 3, labels.shape).astype(float)


def per_task(function, labels, outputs, weights, scale=SCALE):
    return [
        function(
            labels[:, i] * scale[i],
            outputs[:, i, 0] * scale[i],
            sample_weight=weights[:, i],
        )
        for i in range(TASKS)
    ]


@pytest.mark.parametrize(
    ("metric", "function"),
    [
        (MeanAbsoluteError, exact.mean_absolute_error),
        (MeanSquaredError, exact.mean_squared_error),
        (RootMeanSquaredError, exact.root_mean_squared_error),
        (R2, exact.r2_score),
    ],
)
def test_errors_equal_scikit_learn_in_the_unit_of_the_label(metric, function, numbers):
    result = updated(metric(TASKS), *numbers)
    np.testing.assert_allclose(result, per_task(function, *numbers), rtol=1e-5)


def test_binary_accuracy_equals_scikit_learn():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (ROWS, TASKS))
    outputs, weights = rng.random((ROWS, TASKS, 1)), rng.random((ROWS, TASKS))
    expected = per_task(exact.accuracy_score, labels, outputs > 0.5, weights, [1] * 3)
    result = updated(Accuracy(TASKS), labels, outputs, weights)
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_accuracy_of_classes_equals_scikit_learn():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, (ROWS, TASKS))
    outputs, weights = rng.random((ROWS, TASKS, 4)), rng.random((ROWS, TASKS))
    chosen = outputs.argmax(-1)[..., None]
    expected = per_task(exact.accuracy_score, labels, chosen, weights, [1] * 3)
    result = updated(Accuracy(TASKS), labels, outputs, weights)
    np.testing.assert_allclose(result, expected, rtol=1e-5)


METRICS = [Accuracy, MeanAbsoluteError, MeanSquaredError, RootMeanSquaredError, R2]


@pytest.mark.parametrize("metric", METRICS)
def test_a_task_without_rows_is_nan_and_no_other(metric, numbers):
    labels, outputs, weights = numbers
    weights[:, 1] = 0.0
    result = updated(metric(TASKS), labels, outputs, weights)
    assert np.isnan(result).tolist() == [False, True, False]


@pytest.mark.parametrize("metric", METRICS)
def test_labels_a_pixel_count_as_rows(metric, numbers):
    flat = updated(metric(TASKS), *numbers)
    labels, outputs, weights = (
        np.moveaxis(a.reshape(10, 5, TASKS, *a.shape[2:]), 1, 2) for a in numbers
    )
    state = tf.zeros((TASKS, metric.width), metric.dtype)
    labels, outputs, weights = (
        tf.constant(a, "float32") for a in (labels, outputs, weights)
    )
    batch = GroupBatch(labels, weights, weights, outputs, outputs)
    state = metric(TASKS).update(state, batch, tf.constant(SCALE, "float32"))
    np.testing.assert_allclose(metric(TASKS).result(np.asarray(state)), flat, rtol=1e-5)


def test_r2_of_equal_labels_is_not_defined(numbers):
    labels, outputs, weights = numbers
    assert np.isnan(updated(R2(TASKS), 0 * labels + 1, outputs, weights)).all()


def test_r2_of_labels_far_from_zero_keeps_its_precision(numbers):
    # A regression that is not standardised: the years 1900 to 2100.
    labels, outputs, weights = numbers
    labels, outputs = 2000 + 10 * labels, 2000 + 10 * outputs
    expected = per_task(exact.r2_score, labels, outputs, weights, [1] * 3)
    result = updated(R2(TASKS), labels, outputs, weights, [1.0] * 3)
    np.testing.assert_allclose(result, expected, atol=2e-4)


def test_directions():
    ways = {metric.name: metric.direction for metric in METRICS}
    up, down = ["accuracy", "r2"], ["mae", "mse", "rmse"]
    assert ways == dict.fromkeys(up, "max") | dict.fromkeys(down, "min")
