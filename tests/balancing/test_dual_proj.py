"""`kmtl.balancing.DualProj`."""

import numpy as np
import pytest
from gradients import GOLDEN, SOME, gramian, weigh
from scipy.optimize import nnls

import kmtl
from kmtl.balancing import DualProj


def weights_of(gramian, **more):
    return weigh(DualProj(), gramian, **more)


def test_golden_weights():
    # `test_values.py` of TorchJD 0.17, which projects the mean of the two gradients.
    np.testing.assert_allclose(weights_of(GOLDEN) / 2, [0.6109, 0.5], atol=1e-4)


@pytest.mark.parametrize("kind", SOME)
def test_weights_agree_with_nonnegative_least_squares(kind):
    given = gramian(SOME[kind])
    matrix = given / np.trace(given) + 1e-4 * np.eye(5)
    root = np.linalg.cholesky(matrix).T
    expected = 1 + nnls(root, -root.sum(1))[0]
    np.testing.assert_allclose(weights_of(given), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", SOME)
def test_no_task_is_in_conflict_with_the_step(kind):
    given = gramian(SOME[kind])
    weights = weights_of(given)
    slack = 1.01e-4 * np.trace(given) * weights
    assert (given @ weights >= -slack).all()


def test_conflicting_tasks_whose_sum_does_not_conflict_have_weight_one():
    np.testing.assert_allclose(weights_of([[2.0, -1], [-1, 2]]), np.ones(2))


def test_weights_do_not_depend_on_the_scale():
    np.testing.assert_allclose(weights_of(GOLDEN * 1e20), weights_of(GOLDEN))


def test_an_absent_task_changes_nothing():
    given = gramian(SOME["rank 3"])
    weights = weights_of(given, present=[1, 1, 0, 1, 0])
    rest = [0, 1, 3]
    np.testing.assert_allclose(weights[rest], weights_of(given[np.ix_(rest, rest)]))


@pytest.mark.slow
def test_it_keeps_what_a_method_must():
    kmtl.testing.check_balancing(DualProj())
