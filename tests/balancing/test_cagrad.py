"""`kmtl.balancing.CAGrad`."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from gradients import FULL_RANK, GOLDEN, MANY, RANK_3, SOME, gramian, weigh
from scipy.optimize import minimize
from steps import a_step

import kmtl
from kmtl.balancing import CAGrad


def weights_of(gramian, strength=0.5, **more):
    return weigh(CAGrad(strength=strength), gramian, **more)


def ridged(gramian):
    return gramian + 1e-5 * np.diag(np.diag(gramian))


def of_mean(gramian, strength=0.5):
    """The weights of the published direction, which are those of the mean and more."""
    return weights_of(gramian, strength) * (1 + strength) / len(gramian)


def check_optimal(gramian, weights):
    """No direction near the mean is much better for the worst task."""
    matrix, count = ridged(gramian), len(gramian)
    mean = np.full(count, 1 / count)
    size = np.sqrt(mean @ matrix @ mean)
    added = weights - mean
    assert added.min() >= 0
    np.testing.assert_allclose(np.sqrt(added @ matrix @ added), 0.5 * size)
    combination = added / added.sum()
    reach = 0.5 * size * np.sqrt(combination @ matrix @ combination)
    best = combination @ matrix @ mean + reach  # a bound on the worst task of any
    slack = 1e-5 * size * np.sqrt(np.diag(matrix))
    assert (matrix @ weights >= best - slack).all()


def test_golden_weights():
    # `test_values.py` of TorchJD 0.17, which neither divides by 1 + c nor multiplies by
    # the number of tasks.
    np.testing.assert_allclose(of_mean(GOLDEN), [0.7041, 0.5], atol=1e-4)


def test_no_direction_near_the_mean_is_better_for_the_worst_task():
    for given in SOME:
        check_optimal(given, of_mean(given))


def test_the_objective_agrees_with_a_general_solver():
    given = ridged(FULL_RANK)
    mean = np.full(5, 0.2)
    size = np.sqrt(mean @ given @ mean)

    def objective(p):
        return p @ given @ mean + 0.5 * size * np.sqrt(p @ given @ p)

    sums_to_one = {"type": "eq", "fun": lambda p: p.sum() - 1}
    found = minimize(objective, mean, bounds=[(0, 1)] * 5, constraints=sums_to_one)
    added = of_mean(FULL_RANK) - mean
    np.testing.assert_allclose(added / added.sum(), found.x, atol=1e-3)


def test_strength_zero_is_plain_training():
    np.testing.assert_array_equal(weights_of(RANK_3, 0.0), np.ones(5))


def test_orthogonal_gradients_of_equal_length_have_weight_one():
    np.testing.assert_allclose(weights_of(4 * np.eye(3)), np.ones(3), rtol=1e-6)


def test_opposite_gradients_have_finite_weights():
    assert np.isfinite(weights_of([[1.0, -1.0], [-1.0, 1.0]])).all()


def test_weights_do_not_depend_on_the_scale():
    np.testing.assert_allclose(weights_of(GOLDEN * 1e20), weights_of(GOLDEN))


def test_an_absent_task_changes_nothing():
    given = FULL_RANK
    weights = weights_of(given, present=[1, 1, 0, 1, 0])
    rest = [0, 1, 3]
    expected = weights_of(given[np.ix_(rest, rest)])
    np.testing.assert_allclose(weights[rest], expected, rtol=1e-6)


@pytest.mark.parametrize("strength", [-0.1, 1.0, "0.5", True])
def test_a_strength_out_of_range_is_an_error(strength):
    with pytest.raises(ValueError, match=r"`strength` must be at least 0 and below 1"):
        CAGrad(strength=strength)


@pytest.fixture(scope="module")
def solved():
    """Weights of a Gramian under XLA, compiled once for each number of tasks."""

    @tf.function(jit_compile=True)
    def solve(given):
        step = dataclasses.replace(a_step(np.ones(len(given))), gramian=given)
        return CAGrad()(step, {})[0]

    return lambda given: solve(tf.constant(given)).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [10, 128])
@pytest.mark.parametrize("kind", MANY)
def test_many_tasks_are_solved_under_xla(tasks, kind, solved):
    given = gramian(MANY[kind](tasks))
    check_optimal(given, solved(given) * 1.5 / tasks)


@pytest.mark.slow
def test_it_keeps_what_a_method_must():
    kmtl.testing.check_balancing(CAGrad())
