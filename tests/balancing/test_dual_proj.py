"""`kmtl.balancing.DualProj`."""

import numpy as np
import pytest
from gradients import GOLDEN, RANK_3, SOME, weigh, weigh_each
from scipy.optimize import nnls

import kmtl
from kmtl.balancing import DualProj


def weights_of(gramian, **more):
    return weigh(DualProj(), gramian, **more)


def test_golden_weights():
    # `test_values.py` of TorchJD 0.17, which projects the mean of the two gradients.
    np.testing.assert_allclose(weights_of(GOLDEN) / 2, [0.6109, 0.5], atol=1e-4)


def projected(gramian):
    """The projection of the sum, by nonnegative least squares."""
    matrix = gramian / np.trace(gramian) + 1e-4 * np.eye(len(gramian))
    root = np.linalg.cholesky(matrix).T
    return 1 + nnls(root, -root.sum(1))[0]


def test_weights_agree_with_nonnegative_least_squares():
    weights = weigh_each(DualProj(), SOME)
    expected = [projected(given) for given in SOME]
    np.testing.assert_allclose(weights, expected, rtol=1e-4, atol=1e-4)


def test_no_task_is_in_conflict_with_the_step():
    weights = weigh_each(DualProj(), SOME)
    products = np.einsum("kij,kj->ki", SOME, weights)
    slack = 1.01e-4 * np.trace(SOME, axis1=1, axis2=2)[:, None] * weights
    assert (products >= -slack).all()


def test_conflicting_tasks_whose_sum_does_not_conflict_have_weight_one():
    np.testing.assert_allclose(weights_of([[2.0, -1], [-1, 2]]), np.ones(2))


def test_weights_do_not_depend_on_the_scale():
    np.testing.assert_allclose(weights_of(GOLDEN * 1e20), weights_of(GOLDEN))


def test_an_absent_task_changes_nothing():
    given = RANK_3
    weights = weights_of(given, present=[1, 1, 0, 1, 0])
    rest = [0, 1, 3]
    np.testing.assert_allclose(weights[rest], weights_of(given[np.ix_(rest, rest)]))


@pytest.mark.slow
def test_it_keeps_what_a_method_must():
    kmtl.testing.check_balancing(DualProj())
