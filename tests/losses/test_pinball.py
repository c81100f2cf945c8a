"""`kmtl.losses.Pinball`, against TensorFlow Addons 0.23 among others."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from kmtl.losses import Pinball

GOLDEN = Path(__file__).parents[1] / "data" / "tensorflow_addons_golden.json"
CASES = json.loads(GOLDEN.read_text(encoding="utf-8"))["pinball"]


def arrays(case, *names):
    return [np.array(case[name]) for name in names]


def test_rows_are_those_of_tensorflow_addons():
    for case in CASES:
        rows = Pinball(case["tau"], reduction=None)(*arrays(case, "y_true", "y_pred"))
        np.testing.assert_allclose(rows, case["rows"], rtol=1e-5, atol=1e-7)


def test_the_mean_is_that_of_tensorflow_addons():
    for case in CASES:
        mean = Pinball(case["tau"])(*arrays(case, "y_true", "y_pred"))
        np.testing.assert_allclose(mean, case["mean"], rtol=1e-5)


def test_the_weighted_mean_is_that_of_tensorflow_addons():
    for case in CASES:
        batch = arrays(case, "y_true", "y_pred", "sample_weight")
        mean = Pinball(case["tau"])(*batch)
        np.testing.assert_allclose(mean, case["weighted_mean"], rtol=1e-5)


@pytest.mark.parametrize("tau", [0.1, 0.5, 0.75])
def test_the_best_constant_is_the_quantile(tau):
    values = np.arange(101, dtype="float32")
    loss = Pinball(tau, reduction=None)
    candidates = np.repeat(values[:, None], 101, axis=1)
    costs = loss(np.repeat(values[None, :], 101, axis=0), candidates)
    assert np.argmin(costs) == np.quantile(values, tau, method="inverted_cdf")


def test_one_half_is_half_the_absolute_error():
    y_true, y_pred = np.random.default_rng(0).normal(size=(2, 8, 3))
    expected = keras.losses.MeanAbsoluteError()(y_true, y_pred) / 2
    np.testing.assert_allclose(Pinball()(y_true, y_pred), expected, rtol=1e-6)


def test_tasks_keep_an_axis_of_their_own():
    y_true, y_pred = np.random.default_rng(0).normal(size=(2, 4, 3, 1))
    stacked = Pinball(0.9, reduction=None)(y_true, y_pred)
    alone = Pinball(0.9, reduction=None)(y_true[:, 1], y_pred[:, 1])
    assert stacked.shape == (4, 3)
    np.testing.assert_array_equal(stacked[:, 1], alone)


@pytest.mark.parametrize(("labels", "scores"), [((4,), (4, 1)), ((4, 1), (4,))])
def test_a_missing_last_axis_is_added_and_rows_do_not_mix(labels, scores):
    y_true, y_pred = np.arange(4.0), np.arange(4.0)
    rows = Pinball(reduction=None)(y_true.reshape(labels), y_pred.reshape(scores))
    np.testing.assert_array_equal(rows, np.zeros(4))


def test_a_row_of_weight_zero_does_not_count():
    loss = Pinball(0.9, reduction="mean_with_sample_weight")
    y_true, y_pred = np.array([[1.0], [2.0], [50.0]]), np.zeros((3, 1))
    kept = loss(y_true[:2], y_pred[:2])
    assert float(loss(y_true, y_pred, np.array([1.0, 1.0, 0.0]))) == float(kept)


@pytest.mark.slow
def test_a_model_learns_a_quantile_and_keeps_it_when_saved(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5), loss=Pinball(0.9))
    x, y = np.zeros((100, 1)), np.arange(100.0)[:, None] / 100
    model.fit(x, y, batch_size=100, epochs=60, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.loss.tau == 0.9
    assert np.mean(y < model.predict(x[:1], verbose=0)) == pytest.approx(0.9, abs=0.03)


def test_the_config_makes_an_equal_loss():
    loss = Pinball(0.3, reduction="sum", name="q30", dtype="float64")
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(copy, Pinball)
    assert copy.get_config() == loss.get_config()


@pytest.mark.parametrize("tau", [0, 1, -0.1, 1.5, "0.5", None, [0.1, 0.9], True])
def test_a_tau_that_is_no_quantile_is_an_error(tau):
    with pytest.raises(ValueError, match=r"`tau` must be one quantile.*Received"):
        Pinball(tau)


@pytest.mark.parametrize(
    ("labels", "scores"), [((4, 2), (4, 1)), ((4, 1), (4, 2)), ((4, 1, 1), (4, 5, 1))]
)
def test_shapes_that_would_be_broadcast_are_an_error(labels, scores):
    with pytest.raises(ValueError, match=r"must have the same shape.*Received"):
        Pinball()(np.zeros(labels), np.zeros(scores))
