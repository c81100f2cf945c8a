"""Gains: positive is better, whatever the metric."""

import keras
import numpy as np
import pytest

import kmtl
from kmtl._gains import delta_m, gain, higher_is_better
from kmtl._keras_gaps import metric_direction
from kmtl.metrics._keras_metrics import metric_kind

METRICS = {"rich": "auc", "age": "mae"}
# Of metrics of Keras that need no argument, the name in the logs.
KERAS_METRICS = {
    "auc": keras.metrics.AUC,
    "binary_crossentropy": keras.metrics.BinaryCrossentropy,
    "cosine_similarity": keras.metrics.CosineSimilarity,
    "f1_score": keras.metrics.F1Score,
    "mean_squared_error": keras.metrics.MeanSquaredError,
    "pearson_correlation": keras.metrics.PearsonCorrelation,
    "r2_score": keras.metrics.R2Score,
    "root_mean_squared_error": keras.metrics.RootMeanSquaredError,
}


@pytest.mark.parametrize("name", KERAS_METRICS)
def test_a_metric_of_keras_is_better_the_way_keras_says(name):
    metric = KERAS_METRICS[name](name=name)
    assert higher_is_better(name) == (metric_direction(metric) == "max")


@pytest.mark.parametrize(
    ("task", "directions"),
    [
        (kmtl.BinaryTask("t", metrics=["auc", "accuracy"]), [True, True]),
        (kmtl.RegressionTask("t", metrics=["mae", "mse", "rmse"]), [False] * 3),
        (kmtl.RegressionTask("t", metrics=["r2"]), [True]),
        (
            kmtl.MulticlassTask("t", classes=3, metrics=[kmtl.metrics.CohenKappa(3)]),
            [True],
        ),
    ],
)
def test_the_metrics_of_kmtl_are_known(task, directions):
    model = kmtl.build_mtl_model((2,), [task], trunk=kmtl.trunks.MLP([1]))
    names = [n for n in model.task_metrics.suffixes.values() if n != "loss"]
    assert [higher_is_better(name) for name in names] == directions


@pytest.mark.parametrize(
    "metric", ["loss", "pinball", "sparse_categorical_crossentropy"]
)
def test_of_a_loss_lower_is_better(metric):
    assert not higher_is_better(metric)


@pytest.mark.parametrize("metric", ["profit", "true_positives"])
def test_an_unknown_metric_asks_for_its_direction(metric):
    with pytest.raises(ValueError, match=r"`higher=True` or `higher=False`.*Received"):
        higher_is_better(metric)


def test_a_near_miss_is_named():
    with pytest.raises(ValueError, match="Did you mean 'accuracy'"):
        higher_is_better("acuracy")


def test_the_gain_of_a_score_is_a_difference():
    np.testing.assert_allclose(gain("auc", 0.82, 0.8), 0.02)
    np.testing.assert_allclose(gain("r2", 0.1, -0.1), 0.2)


def test_the_gain_of_an_error_is_a_share_of_the_baseline():
    np.testing.assert_allclose(gain("mae", [1.0, 3.0], 2.0), [0.5, -0.5])


def test_the_gain_of_a_loss_below_zero_has_the_right_sign():
    assert gain("loss", -3.0, -2.0) == 0.5


def test_a_direction_makes_any_metric_known():
    assert gain("profit", 12.0, 10.0, higher=True) == pytest.approx(0.2)


def test_what_a_metric_is_decides_not_its_direction():
    np.testing.assert_allclose(gain("auc", 0.82, 0.8, higher=True), 0.02)
    assert gain("mine", 3.0, 2.0, higher=True) == 0.5


@pytest.mark.parametrize("name", KERAS_METRICS)
def test_a_metric_of_keras_is_known_under_any_name(name):
    assert metric_kind(KERAS_METRICS[name](name="mine")) == name


def test_a_metric_of_the_user_is_what_it_is_derived_from_or_its_name():
    class Mine(keras.metrics.AUC):
        pass

    mean = keras.metrics.MeanMetricWrapper(lambda y, p: y - p, name="bias")
    assert metric_kind(Mine(name="any")) == "auc"
    assert metric_kind(kmtl.metrics.CohenKappa(3, name="any")) == "cohen_kappa"
    assert metric_kind(mean) == "bias"


def test_a_baseline_without_error_cannot_be_beaten():
    assert gain("mse", 0.0, 0.0) == 0
    assert gain("mse", 0.1, 0.0) == -np.inf


def test_the_same_values_gain_exactly_nothing():
    values = {"rich": 0.1 + 0.2, "age": 1 / 3}
    assert delta_m(values, values, METRICS) == 0


def test_delta_m_is_the_mean_gain_in_percent():
    values, baselines = {"rich": 0.7, "age": 3.0}, {"rich": 0.8, "age": 4.0}
    assert delta_m(values, baselines, METRICS) == pytest.approx((-10 + 25) / 2)


def test_delta_m_takes_directions():
    found = delta_m({"a": 3.0}, {"a": 2.0}, {"a": "profit"}, higher={"a": True})
    assert found == pytest.approx(50)


def test_a_task_without_a_value_is_left_out():
    values, baselines = {"rich": np.nan, "age": 3.0}, {"rich": 0.8, "age": 4.0}
    assert delta_m(values, baselines, METRICS) == pytest.approx(25)
    assert np.isnan(delta_m({"age": np.nan}, {"age": 1.0}, {"age": "mae"}))


def test_a_task_must_be_everywhere():
    with pytest.raises(ValueError, match=r"unknown task. Received: 'age'"):
        delta_m({"rich": 0.7}, {"rich": 0.8, "age": 1.0}, METRICS)
    with pytest.raises(ValueError, match=r"`values` names an unknown task.*'ages'"):
        delta_m({"rich": 1, "ages": 2}, {"rich": 1, "age": 2}, METRICS)


def test_delta_m_needs_a_task():
    with pytest.raises(ValueError, match="at least one task"):
        delta_m({}, {}, {})
    with pytest.raises(TypeError, match="`values` must be a dict"):
        delta_m([0.7], {"rich": 0.8}, METRICS)
