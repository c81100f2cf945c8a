"""Shares of tasks by formula, and whole numbers of rows by largest remainders."""

import numpy as np
import pytest

from kmtl.data._shares import exponent, shares_of, whole_numbers

SIZES = np.array([393_000, 2_500, 67_000, 8_500])  # MNLI, RTE, SST-2, CoLA
ALL = np.ones(4, dtype=bool)
NO_LIMITS = np.full(4, np.inf)


def shares(power, active=ALL, limits=NO_LIMITS):
    return shares_of(SIZES, power, active, limits)


@pytest.mark.parametrize("power", [1.0, 0.5, 0.2, 0.0])
def test_shares_are_powers_of_sizes(power):
    expected = SIZES**power / (SIZES**power).sum()
    np.testing.assert_allclose(shares(power), expected, rtol=1e-12)


def test_golden_shares():
    np.testing.assert_allclose(shares(0.2), [0.395, 0.144, 0.277, 0.184], atol=6e-4)
    np.testing.assert_allclose(shares(0.5), [0.610, 0.049, 0.252, 0.090], atol=6e-4)


def test_annealing_goes_from_1_to_a_fifth():
    # Stickland & Murray 2019: 1 - 0.8 (e - 1) / (E - 1) with E = 5
    powers = [exponent("annealed", 5.0, epoch, 5) for epoch in range(7)]
    np.testing.assert_allclose(powers, [1.0, 0.8, 0.6, 0.4, 0.2, 0.2, 0.2])


def test_what_is_above_a_limit_goes_to_the_others_in_proportion():
    limits = np.array([np.inf, 0.1, np.inf, 0.15])
    np.testing.assert_allclose(shares(0.0, limits=limits), [0.375, 0.1, 0.375, 0.15])


def test_a_limit_that_is_reached_by_what_others_leave_holds_too():
    limits = np.array([np.inf, 0.1, 0.3, 0.3])
    np.testing.assert_allclose(shares(0.0, limits=limits), [0.3, 0.1, 0.3, 0.3])


def test_limits_that_sum_to_1_are_the_shares():
    limits = np.array([0.4, 0.1, 0.3, 0.2])
    np.testing.assert_allclose(shares(0.5, limits=limits), limits)


def test_a_task_that_has_not_started_has_no_share():
    active = np.array([True, False, True, False])
    np.testing.assert_allclose(shares(0.0, active=active), [0.5, 0, 0.5, 0])


def test_whole_numbers_by_largest_remainders():
    # Hamilton's method on the quotas 5.2, 3.5, 1.3
    assert whole_numbers(np.array([0.52, 0.35, 0.13]), 10).tolist() == [5, 4, 1]


def test_nobody_with_a_share_gets_nothing():
    counts = whole_numbers(np.array([0.998, 0.001, 0.001, 0.0]), 10)
    assert counts.tolist() == [8, 1, 1, 0]


def test_proportional_counts_are_the_sizes():
    assert whole_numbers(SIZES / SIZES.sum(), SIZES.sum()).tolist() == SIZES.tolist()
