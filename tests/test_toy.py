"""The toy problem of `benchmarks/toy.py`: what is stable there, and no more.

Paths that cross a valley are chaotic, so neither paths nor most of their ends are
compared with anything; all that is asserted also holds for starting points moved by
1e-9, 1e-6 and 1e-3.
"""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

pytestmark = pytest.mark.slow
ARRIVING = ["AlignedMTL", "FAMO", "FairGrad", "IMTLG", "MGDA", "NashMTL"]


@pytest.fixture(scope="module")
def toy():
    script = Path(__file__).parents[1] / "benchmarks" / "toy.py"
    return SimpleNamespace(**runpy.run_path(str(script)))


@pytest.fixture
def ends(toy):
    """Where a method ends from the starting points of a protocol."""

    def ends(protocol, name):
        starts, factors, steps = toy.PROTOCOLS[protocol]
        method = toy.methods(factors)[name]
        return [line[-1] for line in toy.paths(method, starts, factors, steps)]

    return ends


def test_objectives_and_their_gradients_at_a_tie(toy):
    values, gradients = toy.values_and_gradients(tf.zeros(2), tf.ones(2))
    np.testing.assert_array_equal(values, [0, 0])
    # By hand: the factors are 0 and have slopes of 1/2 and -1/2.
    slope = (np.log(3.5) + 6 - ((49 + 6.4) / 10 - 20)) / 2
    np.testing.assert_allclose(gradients, [[0, slope], [0, slope]], rtol=1e-6)


def test_the_sum_of_the_objectives_is_stuck_in_the_valleys(toy, ends):
    stuck = [toy.is_stuck(x) for x in ends("CAGrad", "equal weights")]
    assert stuck == [True, False, True]
    stuck = [toy.is_stuck(x) for x in ends("Nash-MTL", "equal weights")]
    assert stuck == [False, False, True, False, False]


@pytest.mark.parametrize("name", [*ARRIVING, "ConFIG", "PCGrad"])
def test_methods_reach_the_pareto_set_from_the_starts_of_cagrad(toy, ends, name):
    assert all(toy.has_arrived(x) for x in ends("CAGrad", name))


@pytest.mark.parametrize("name", ARRIVING)
def test_methods_reach_the_pareto_set_from_the_starts_of_nash_mtl(toy, ends, name):
    assert all(toy.has_arrived(x) for x in ends("Nash-MTL", name))


def test_cagrad_ends_where_the_mean_is_best(toy, ends):
    values = [toy.objectives(x) for x in ends("CAGrad", "CAGrad")]
    # The paper: "CAGrad converges to the optimum of the average loss" (its figure 1).
    np.testing.assert_allclose(values, -15.09 * np.ones((3, 2)), atol=0.03)


def test_mgda_ends_where_no_direction_is_good_for_both(ends):
    # From the second start, below the valleys, it meets the Pareto set at its end.
    np.testing.assert_allclose(ends("CAGrad", "MGDA")[1], [-7, -8.434], atol=0.02)


def test_nash_mtl_does_not_see_the_unit_of_an_objective(toy):
    starts, _, steps = toy.PROTOCOLS["CAGrad"]
    method = toy.methods((1.0, 1.0))["NashMTL"]
    plain, scaled = (
        next(toy.paths(method, starts[1:2], factors, steps))
        for factors in [(1.0, 1.0), (0.1, 1.0)]
    )
    np.testing.assert_allclose(scaled, plain, atol=0.01)
