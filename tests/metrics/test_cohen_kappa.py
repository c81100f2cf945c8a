"""`kmtl.metrics.CohenKappa`, against TensorFlow Addons 0.23 among others."""

import json
import math
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from kmtl.metrics import CohenKappa

GOLDEN = Path(__file__).parents[1] / "data" / "tensorflow_addons_golden.json"
CASES = json.loads(GOLDEN.read_text(encoding="utf-8"))["cohen_kappa"]
WEIGHTAGES = (None, "linear", "quadratic")


def classifier():
    """Three inputs, which it takes for the classes when it has not been trained."""
    dense = keras.layers.Dense(
        3, activation="softmax", kernel_initializer="identity", use_bias=False
    )
    return keras.Sequential([keras.Input((3,)), dense])


def kappa_of(metric, labels, scores, weights=None):
    metric.update_state(labels, scores, weights)
    return float(metric.result())


def test_kappa_over_batches_is_that_of_tensorflow_addons():
    for case in CASES:
        metric = CohenKappa(case["num_classes"], case["weightage"])
        for labels, scores in zip(case["y_true"], case["y_pred"], strict=True):
            metric.update_state(labels, scores)
        np.testing.assert_allclose(metric.result(), case["kappa"], atol=1e-6)


def test_weighted_rows_give_the_kappa_of_tensorflow_addons():
    for case in CASES:
        metric = CohenKappa(case["num_classes"], case["weightage"])
        batches = (case["y_true"], case["y_pred"], case["sample_weight"])
        for labels, scores, weights in zip(*batches, strict=True):
            metric.update_state(labels, scores, weights)
        np.testing.assert_allclose(metric.result(), case["weighted_kappa"], atol=1e-6)


@pytest.mark.parametrize("weightage", WEIGHTAGES)
def test_kappa_is_that_of_scikit_learn(weightage):
    draw = np.random.default_rng(0)
    labels, scores = draw.integers(4, size=500), draw.random((500, 4))
    weights = draw.random(500)
    expected = cohen_kappa_score(
        labels, scores.argmax(axis=-1), weights=weightage, sample_weight=weights
    )
    metric = CohenKappa(4, weightage)
    assert kappa_of(metric, labels, scores, weights) == pytest.approx(
        expected, abs=1e-6
    )


@pytest.mark.parametrize("weightage", WEIGHTAGES)
def test_full_agreement_is_one(weightage):
    labels = np.array([0, 1, 2, 2])
    assert kappa_of(CohenKappa(3, weightage), labels, np.eye(3)[labels]) == 1.0


def test_a_near_miss_costs_less_than_a_far_one():
    labels, near, far = np.array([0, 1, 2]), np.eye(3)[[0, 1, 1]], np.eye(3)[[0, 1, 0]]
    near_kappa = kappa_of(CohenKappa(3, "quadratic"), labels, near)
    assert near_kappa > kappa_of(CohenKappa(3, "quadratic"), labels, far)


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_labels_and_weights_may_have_an_axis_of_one(shape):
    labels, weights = np.array([0, 1, 1, 0]), np.array([1.0, 2.0, 0.5, 1.0])
    scores = np.array([[0.1], [0.9], [0.2], [0.3]])
    kappa = kappa_of(
        CohenKappa(2), labels.reshape(shape), scores, weights.reshape(shape)
    )
    assert kappa == pytest.approx(kappa_of(CohenKappa(2), labels, scores, weights))


def test_one_probability_and_two_are_the_same_prediction():
    labels, scores = np.array([0, 1, 1, 0]), np.array([[0.1], [0.9], [0.2], [0.6]])
    both = np.concatenate([1 - scores, scores], axis=-1)
    one = kappa_of(CohenKappa(2), labels, scores)
    assert one == kappa_of(CohenKappa(2), labels, both)


def test_a_row_of_weight_zero_does_not_count():
    scores = np.eye(3)[[0, 1, 2, 0]]
    removed = kappa_of(CohenKappa(3), [0, 2, 2], scores[:3])
    kappa = kappa_of(CohenKappa(3), [0, 2, 2, 1], scores, [1.0, 1.0, 1.0, 0.0])
    assert kappa == pytest.approx(removed, abs=1e-6)


def test_a_label_outside_the_classes_does_not_count():
    scores = np.eye(3)[[0, 1, 2, 0]]
    removed = kappa_of(CohenKappa(3), [0, 2, 2], scores[:3])
    kappa = kappa_of(CohenKappa(3), [0, 2, 2, -1], scores)
    assert kappa == pytest.approx(removed, abs=1e-6)


def test_no_rows_and_a_single_class_are_not_a_number():
    assert math.isnan(CohenKappa(3).result())
    assert math.isnan(kappa_of(CohenKappa(3), [1, 1], np.eye(3)[[1, 1]]))


def test_reset_forgets_all_rows():
    metric = CohenKappa(3)
    metric.update_state([0, 1], np.eye(3)[[2, 2]])
    metric.reset_state()
    assert kappa_of(metric, [0, 1, 2], np.eye(3)) == 1.0


def test_fit_and_evaluate_report_it_and_a_saved_model_keeps_it(tmp_path):
    model = classifier()
    kappa = CohenKappa(3, "linear")
    model.compile(loss="sparse_categorical_crossentropy", weighted_metrics=[kappa])
    x, y = np.eye(3)[[0, 1, 2, 0]], np.array([0, 1, 2, 0])
    model.fit(x, y, sample_weight=np.ones(4), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(x, y, verbose=0, return_dict=True)["cohen_kappa"] == 1.0


@pytest.mark.parametrize("jit_compile", [False, True])
def test_early_stopping_knows_its_direction(jit_compile):
    model = classifier()
    model.compile(
        loss="sparse_categorical_crossentropy",
        metrics=[CohenKappa(3)],
        jit_compile=jit_compile,
    )
    stop = keras.callbacks.EarlyStopping(monitor="cohen_kappa", mode="auto")
    model.fit(np.eye(3), np.arange(3), callbacks=[stop], verbose=0)
    assert stop.best == 1.0


def test_the_config_makes_an_equal_metric():
    metric = CohenKappa(5, "quadratic", name="qwk")
    copy = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert isinstance(copy, CohenKappa)
    assert copy.get_config() == metric.get_config()


@pytest.mark.parametrize("num_classes", [1, 0, -2, 2.5, "3", None, True])
def test_a_number_of_classes_below_two_is_an_error(num_classes):
    with pytest.raises(ValueError, match=r"`num_classes` must be an integer.*Received"):
        CohenKappa(num_classes)


def test_a_weightage_with_a_typo_is_an_error():
    with pytest.raises(ValueError, match=r"Received: 'quadratik'. Did you mean"):
        CohenKappa(3, "quadratik")


def test_one_hot_labels_are_an_error_with_the_remedy():
    with pytest.raises(ValueError, match=r"`y_true` must hold one integer.*argmax"):
        CohenKappa(3).update_state(np.eye(3), np.eye(3))


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 4), (3, 3, 1)])
def test_scores_of_another_shape_are_an_error(shape):
    with pytest.raises(ValueError, match=r"`y_pred` must have shape \(batch, 3\)"):
        CohenKappa(3).update_state([0, 1, 2], np.zeros(shape))
