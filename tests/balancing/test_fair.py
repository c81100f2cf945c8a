"""NashMTL and FairGrad."""

import numpy as np
import pytest
from gradients import gramian, of_rank, opposed, related, stationary, stretched
from steps import a_step

from kmtl.balancing import FairGrad, NashMTL

HARD = {
    "related": related,
    "dependent": lambda tasks: of_rank(tasks, -(-tasks // 3)),
    "opposed": opposed,
    "stationary": stationary,
}
hard_ones = pytest.mark.parametrize("kind", HARD)


def weigh(method, rows):
    return method(a_step(gramian=gramian(rows)), {})[0].numpy()


def error(rows, weights, alpha=1.0):
    """The largest relative error of an equation, with 1e-6 sqrt(T) on the diagonal."""
    given = gramian(rows)
    lengths = np.sqrt(np.diag(given))
    cosines = np.clip(given / np.outer(lengths, lengths), -1, 1)
    cosines += 1e-6 * np.sqrt(len(rows)) * np.eye(len(rows))
    gains = lengths * (cosines @ (lengths * weights))
    return np.abs(gains * weights ** (1 / alpha) - 1).max()


@hard_ones
@pytest.mark.parametrize("tasks", [2, 128])
def test_the_equations_of_nash_hold(kind, tasks):
    rows = stretched(HARD[kind](tasks), 6)
    weights = weigh(FairGrad(), rows)
    assert (weights > 0).all()
    assert error(rows, weights) < 1e-6


@hard_ones
@pytest.mark.parametrize("alpha", [0.5, 2.0, 10.0])
def test_the_equations_of_alpha_fairness_hold(kind, alpha):
    rows = stretched(HARD[kind](20), 2)
    weights = weigh(FairGrad(alpha), rows)
    assert (weights > 0).all()
    assert error(rows, weights, alpha) < 1e-6


@pytest.mark.parametrize("alpha", [0.2, 10.0])
def test_extreme_alphas_stay_finite(alpha):
    weights = weigh(FairGrad(alpha), stretched(stationary(5), 6))
    assert np.isfinite(weights).all()


def test_fairgrad_of_1_is_nash_without_a_limit():
    rows = stretched(related(9), 2)
    np.testing.assert_array_equal(
        weigh(FairGrad(), rows), weigh(NashMTL(max_norm=None), rows)
    )


def test_the_update_of_nash_has_a_length_of_its_own():
    rows = stretched(related(9), 2)
    for max_norm, length in [(None, 3.0), (5.0, 3.0), (1.0, 1.0), (0.5, 0.5)]:
        update = weigh(NashMTL(max_norm), rows) @ rows
        assert np.linalg.norm(update) == pytest.approx(length, rel=1e-4)


def test_weights_are_bounded_where_gradients_cancel():
    assert weigh(NashMTL(max_norm=None), np.array([[1.0], [-1.0]])).max() < 1000


def test_alpha_leads_from_the_sum_to_equal_gains():
    rows = np.array([[1.0, 0.0], [0.0, 2.0]])
    # Orthogonal gradients of lengths 1 and 2: `w = d ** (-2 a / (1 + a))`.
    for alpha in (0.2, 1.0, 10.0):
        ratio = 2 ** (-2 * alpha / (1 + alpha))
        weights = weigh(FairGrad(alpha), rows)
        np.testing.assert_allclose(weights, [1, ratio], rtol=1e-5)


def test_settings_that_are_not_valid():
    with pytest.raises(ValueError, match="`max_norm` must be positive"):
        NashMTL(max_norm=0)
    with pytest.raises(ValueError, match=r"`alpha` must be from 0\.2 to 10"):
        FairGrad(0.1)
