"""`kmtl.balancing.UPGrad`."""

import numpy as np
import pytest
from gradients import GOLDEN, RANK_3, SOME, gramian, related, weigh, weigh_each
from scipy.optimize import nnls

import kmtl
from kmtl.balancing import UPGrad


def weights_of(gramian, **more):
    return weigh(UPGrad(), gramian, **more)


def projected(gramian, task):
    """The projection of one task's gradient, by nonnegative least squares."""
    count = len(gramian)
    matrix = gramian / np.trace(gramian) + 1e-4 * np.eye(count)
    root = np.linalg.cholesky(matrix).T
    return np.eye(count)[task] + nnls(root, -root[:, task])[0]


def test_golden_weights():
    # `test_values.py` of TorchJD 0.17, which takes the mean of the two projections.
    np.testing.assert_allclose(weights_of(GOLDEN) / 2, [1.1109, 0.7894], atol=1e-4)


def test_weights_agree_with_nonnegative_least_squares():
    expected = [sum(projected(given, task) for task in range(5)) for given in SOME]
    weights = weigh_each(UPGrad(), SOME)
    np.testing.assert_allclose(weights, expected, rtol=1e-4, atol=1e-4)


def test_no_task_is_in_conflict_with_the_step():
    weights = weigh_each(UPGrad(), SOME)
    products = np.einsum("kij,kj->ki", SOME, weights)
    slack = 1.01e-4 * np.trace(SOME, axis1=1, axis2=2)[:, None] * weights
    assert (products >= -slack).all()


def test_two_tasks_have_the_weights_of_pcgrad():
    # For two tasks one projection ends every conflict.
    expected = [1 + 22 / 18, 1 + 22 / 38]
    np.testing.assert_allclose(weights_of(GOLDEN), expected, rtol=5e-4)


def test_tasks_without_conflict_have_weight_one():
    np.testing.assert_allclose(weights_of([[2.0, 1], [1, 5]]), np.ones(2))


def test_weights_do_not_depend_on_the_scale():
    given = gramian(related(4))
    np.testing.assert_allclose(weights_of(given * 1e20), weights_of(given))


def test_weights_move_with_their_tasks():
    given, order = RANK_3, [3, 0, 4, 1, 2]
    moved = weights_of(given[np.ix_(order, order)])
    np.testing.assert_allclose(moved, weights_of(given)[order], rtol=1e-4)


def test_an_absent_task_changes_nothing():
    given = RANK_3
    weights = weights_of(given, present=[1, 1, 0, 1, 0])
    rest = [0, 1, 3]
    np.testing.assert_allclose(weights[rest], weights_of(given[np.ix_(rest, rest)]))


@pytest.mark.slow
def test_it_keeps_what_a_method_must():
    kmtl.testing.check_balancing(UPGrad())
