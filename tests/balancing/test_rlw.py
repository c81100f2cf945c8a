"""`kmtl.balancing.RLW` and the draws it makes."""

import numpy as np
import pytest
from steps import a_step

from kmtl.balancing import RLW
from kmtl.balancing._draws import draw_by_task

MANY = [f"task_{i}" for i in range(20_000)]


def weights_of(method, names, **more):
    return method(a_step(np.ones(len(names)), names=names, **more), {})[0].numpy()


def test_weights_are_positive_and_one_on_average():
    weights = weights_of(RLW(), "abcd")
    assert weights.min() > 0
    assert weights.mean() == pytest.approx(1.0)


def test_logarithms_of_weights_are_normal():
    logs = np.log(weights_of(RLW(), MANY))
    logs -= logs.mean()
    assert logs.std() == pytest.approx(1.0, abs=0.02)
    assert (logs**4).mean() == pytest.approx(3.0, abs=0.2)  # of a normal distribution


def test_each_step_and_each_seed_has_other_weights():
    first = weights_of(RLW(), "abc")
    assert not np.allclose(first, weights_of(RLW(), "abc", number=1))
    assert not np.allclose(first, weights_of(RLW(seed=1), "abc"))


def test_the_same_step_has_the_same_weights_in_any_order():
    weights = weights_of(RLW(), "abc", number=7)
    np.testing.assert_allclose(weights_of(RLW(), "cab", number=7), weights[[2, 0, 1]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_are_strictly_inside_zero_and_one(dtype):
    draws = draw_by_task(a_step(np.ones(len(MANY), dtype), names=MANY), 0)
    assert 0 < np.min(draws) < 0.001
    assert 0.999 < np.max(draws) < 1


def test_a_seed_that_is_no_count_is_an_error():
    with pytest.raises(ValueError, match=r"`seed` must be an integer of at least 0"):
        RLW(seed=-1)
