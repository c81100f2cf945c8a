"""`kmtl.balancing.DWA`."""

import numpy as np
import pytest
from steps import a_step, state_of

from kmtl.balancing import DWA

# Rates of 1 and 4 at temperature 2, as in `test_dwa.py` of TorchJD 0.17.
EXPECTED = 2 * np.exp([0.5, 2.0]) / np.exp([0.5, 2.0]).sum()


def weights_of(epochs, method=None):
    """The weights of each step; an epoch is a list of steps, a step one of losses."""
    method = method or DWA()
    state = state_of(method, len(epochs[0][0]))
    weights = []
    for epoch, steps in enumerate(epochs):
        for losses in steps:
            present = [loss is not None for loss in losses]
            numbers = [loss or 0.0 for loss in losses]
            step = a_step(numbers, present=present, epoch=epoch)
            now, state = method(step, state)
            weights.append(now.numpy())
    return weights


def test_weights_are_one_in_the_first_two_epochs():
    weights = weights_of([[[1.0, 3.0], [5.0, 2.0]], [[2.0, 5.0]]])
    np.testing.assert_array_equal(weights, np.ones((3, 2)))


def test_weights_come_from_the_two_epochs_before():
    weights = weights_of([[[1.0, 1.0]], [[1.0, 4.0]], [[3.0, 5.0], [0.1, 9.0]]])
    np.testing.assert_allclose(weights[2:], [EXPECTED, EXPECTED])


def test_epochs_count_by_the_mean_over_their_steps():
    first, second = [[2.0, 2.0], [0.0, 0.0]], [[2.0, 6.0], [0.0, 2.0]]
    weights = weights_of([first, second, [[3.0, 5.0]]])
    np.testing.assert_allclose(weights[-1], EXPECTED)


def test_older_epochs_are_forgotten():
    weights = weights_of([[[9.0, 8.0]], [[1.0, 1.0]], [[1.0, 4.0]], [[3.0, 5.0]]])
    np.testing.assert_allclose(weights[-1], EXPECTED)


def test_a_high_temperature_evens_the_weights_out():
    epochs = [[[1.0, 1.0]], [[1.0, 4.0]], [[3.0, 5.0]]]
    weights = weights_of(epochs, DWA(temperature=1e6))
    np.testing.assert_allclose(weights[-1], np.ones(2), atol=1e-5)
    with pytest.raises(ValueError, match=r"`temperature` must be positive"):
        DWA(temperature=0.0)


def test_units_of_measure_do_not_matter():
    epochs = np.random.default_rng(0).uniform(0.5, 2.0, (4, 3, 2))
    expected = weights_of(epochs.tolist())
    np.testing.assert_allclose(weights_of((epochs * [1.0, 1e3]).tolist()), expected)


def test_epochs_without_a_label_do_not_count():
    absent, back = [[[1.0, None]]], [[[3.0, 5.0]]]
    seen = [[[1.0, 1.0]], [[1.0, 4.0]]]
    weights = weights_of([*seen[:1], *absent, *seen[1:], *absent, *back])
    np.testing.assert_allclose(weights[-1], EXPECTED)


def test_a_new_task_has_weight_one_until_it_was_in_two_epochs():
    weights = weights_of([[[1.0, None]], [[2.0, None]], [[3.0, 1.0]], [[4.0, 1.0]]])
    np.testing.assert_allclose(weights, np.ones((4, 2)))


def test_a_mean_that_is_not_positive_leaves_weight_one():
    weights = weights_of([[[0.0, 1.0]], [[-1.0, 1.0]], [[1.0, 1.0]]])
    np.testing.assert_allclose(weights[-1], [1.0, 1.0])


def test_a_loss_that_is_not_finite_is_not_in_the_mean():
    first, second = [[1.0, 1.0], [np.nan, 1.0]], [[1.0, 4.0], [np.inf, 4.0]]
    weights = weights_of([first, second, [[3.0, 5.0]]])
    np.testing.assert_allclose(weights[-1], EXPECTED)
