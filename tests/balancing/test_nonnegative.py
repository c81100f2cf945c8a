"""The solver of UPGrad, DualProj, MGDA and CAGrad."""

import numpy as np
import pytest
import tensorflow as tf
from gradients import MANY, RANK_3, SOME, gramian, opposed
from scipy.optimize import nnls

from kmtl.balancing._dual_cone import ridged
from kmtl.balancing._min_norm import cosines, shortest, unit
from kmtl.balancing._nonnegative import minimize_nonnegative


def violation(matrix, linear, x):
    """The distance from the optimality conditions, 0 at the optimum alone."""
    return np.abs(np.minimum(x, matrix @ x + linear)).max()


solve = tf.function(minimize_nonnegative)


@pytest.mark.parametrize("given", SOME)
def test_solutions_agree_with_nonnegative_least_squares(given):
    matrix = ridged(tf.constant(given))[0]
    root = np.linalg.cholesky(matrix).T
    linear = np.random.default_rng(0).normal(size=(5, 3))
    x = solve(matrix, tf.constant(linear), 1e-9)
    expected = [nnls(root, -np.linalg.solve(root.T, column))[0] for column in linear.T]
    np.testing.assert_allclose(x, np.transpose(expected), rtol=1e-4, atol=1e-5)


def test_forty_opposed_tasks_reach_the_tolerance():
    matrix = ridged(tf.constant(gramian(opposed(40, noise=0.1))))[0]
    x = solve(matrix, matrix, 1e-6)
    assert violation(matrix, matrix, x) <= 1.1e-6


def test_the_solution_as_a_start_is_returned():
    matrix = ridged(tf.constant(RANK_3))[0]
    x = solve(matrix, matrix, 1e-6)
    np.testing.assert_array_equal(solve(matrix, matrix, 1e-6, x), x)


def test_a_column_does_not_depend_on_the_others():
    matrix = ridged(tf.constant(RANK_3))[0]
    together = solve(matrix, matrix, 1e-9)
    alone = solve(matrix, matrix[:, 1:2], 1e-9)
    np.testing.assert_allclose(alone[:, 0], together[:, 1], atol=1e-8)


def test_a_matrix_that_rounding_made_indefinite_has_a_finite_solution():
    matrix = tf.constant([[1.0, -1.0 - 1e-7], [-1.0 - 1e-7, 1.0]], "float64")
    linear = tf.constant([[-1.0], [-1.0]], "float64")
    assert np.isfinite(solve(matrix, linear, 1e-6)).all()


@pytest.fixture(scope="module")
def compiled():
    """The solvers under XLA, which are compiled once for each number of tasks."""
    return [tf.function(f, jit_compile=True) for f in (minimize_nonnegative, shortest)]


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [10, 100, 128])
@pytest.mark.parametrize("kind", MANY)
def test_many_tasks_reach_the_tolerance_under_xla(tasks, kind, compiled):
    fast, fast_shortest = compiled
    given = tf.constant(gramian(MANY[kind](tasks)))
    matrix, lengths = ridged(given)
    assert violation(matrix, matrix, fast(matrix, matrix, 1e-6)) <= 1.1e-6
    slopes = matrix @ lengths[:, None]
    assert violation(matrix, slopes, fast(matrix, slopes, 1e-6)) <= 1.1e-6

    matrix, lengths = cosines(given)
    share = unit(1 / lengths)
    joint = matrix + share[:, None] * share
    x = fast_shortest(matrix, share)
    assert violation(joint, -share[:, None], x[:, None]) <= 1.1e-6
