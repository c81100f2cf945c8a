"""`kmtl.balancing.STCH`."""

import numpy as np
import pytest
import tensorflow as tf
from steps import a_step, state_of

from kmtl.balancing import STCH

NADIR = np.array([2.0, 0.5, 8.0])
LOSSES = np.array([1.0, 0.4, 7.0])


def run(method, epochs):
    """The weights of the last step; an epoch is a list of steps, NaN a missing task."""
    state = state_of(method, len(epochs[0][0]))
    for epoch, steps in enumerate(epochs):
        for losses in steps:
            present = ~np.isnan(losses)
            step = a_step(np.nan_to_num(losses), present=present, epoch=epoch)
            weights, state = method(step, state)
    return weights.numpy()


def objective(losses, mu):
    """The formula of the authors' code, but for the 1e-20 added to the losses."""
    logs = tf.math.log(losses / NADIR)
    return mu * tf.reduce_logsumexp(logs / mu) * 3


@pytest.mark.parametrize("mu", [0.1, 1.0, 3.0])
def test_weights_are_the_gradient_of_the_smooth_maximum(mu):
    losses = tf.constant(LOSSES)
    with tf.GradientTape() as tape:
        tape.watch(losses)
        total = objective(losses, mu)
    weights = run(STCH(mu, warmup_epochs=0), [[NADIR], [LOSSES]])
    np.testing.assert_allclose(weights, tape.gradient(total, losses))


def test_the_nadir_is_the_mean_of_the_epoch_after_the_warm_up():
    warm_up, nadir = [[9 * NADIR]] * 4, [[0.5 * NADIR, 1.5 * NADIR]]
    weights = run(STCH(), [*warm_up, *nadir, [LOSSES]])
    expected = run(STCH(warmup_epochs=0), [[NADIR], [LOSSES]])
    np.testing.assert_allclose(weights, expected)


@pytest.mark.parametrize("epochs", [1, 4, 5])
def test_logarithms_are_minimised_until_the_nadir_is_known(epochs):
    weights = run(STCH(), [[LOSSES]] * epochs)
    np.testing.assert_allclose(weights, 1 / LOSSES)


def test_a_small_mu_leaves_the_task_that_lags_behind_most():
    weights = run(STCH(mu=1e-3, warmup_epochs=0), [[NADIR], [LOSSES]])
    np.testing.assert_allclose(weights * LOSSES, [0.0, 0.0, 3.0], atol=1e-9)


def test_the_unit_of_a_loss_does_not_matter():
    unit = np.array([1.0, 1e4, 1e-4])
    weights = run(STCH(warmup_epochs=0), [[NADIR], [LOSSES]])
    others = run(STCH(warmup_epochs=0), [[NADIR * unit], [LOSSES * unit]])
    np.testing.assert_allclose(others * unit, weights)


def test_a_task_that_comes_late_takes_its_nadir_then():
    late = np.array([1.0, 1.0, np.nan])
    weights = run(STCH(warmup_epochs=0), [[NADIR * late], [LOSSES], [LOSSES]])
    nadir = np.array([*NADIR[:2], LOSSES[2]])
    expected = 3 / nadir / np.sum(LOSSES / nadir)  # with mu = 1
    np.testing.assert_allclose(weights, expected)


def test_until_then_the_others_are_weighed_without_it():
    late = np.array([1.0, 1.0, np.nan])
    weights = run(STCH(warmup_epochs=0), [[NADIR * late], [LOSSES]])
    expected = run(STCH(warmup_epochs=0), [[NADIR[:2]], [LOSSES[:2]]])
    np.testing.assert_allclose(weights, [*expected, 1 / LOSSES[2]])


@pytest.mark.parametrize("settings", [{"mu": 0.0}, {"warmup_epochs": -1}])
def test_wrong_settings_are_an_error(settings):
    with pytest.raises(ValueError, match=r"must be .*Received"):
        STCH(**settings)
