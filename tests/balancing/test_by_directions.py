"""What methods that work on the lengths and directions of gradients keep."""

import numpy as np
import pytest
from gradients import gramian, of_rank, stretched
from steps import a_step, state_of

from kmtl.balancing import (
    IMTLG,
    AlignedMTL,
    ConFIG,
    FairGrad,
    GradNorm,
    GradVac,
    NashMTL,
    PCGrad,
)

METHODS = [
    AlignedMTL(),
    ConFIG(),
    FairGrad(2.0),
    GradNorm(),
    GradVac(),
    IMTLG(),
    NashMTL(),
    PCGrad(),
]
every_method = pytest.mark.parametrize("method", METHODS, ids=repr)
ROWS = stretched(of_rank(5, 64), 2)


def weigh(method, given, **more):
    """The weights of a first step."""
    state = state_of(method, len(given))
    return method(a_step(gramian=given, **more), state)[0].numpy()


@every_method
@pytest.mark.parametrize("tasks", [2, 20])
def test_weights_are_finite_at_all_ranks_and_scales(method, tasks):
    for rank, scale in [(1, 1e-10), (tasks, 0), (-(-tasks // 2), 1e15)]:
        weights = weigh(method, gramian(scale * of_rank(tasks, rank)))
        assert np.isfinite(weights).all()


@every_method
def test_a_gradient_of_zero_changes_nothing_for_others(method):
    left = [0, 1, 3, 4]
    weights = weigh(method, gramian(ROWS * [[1], [1], [0], [1], [1]]))
    expected = weigh(method, gramian(ROWS[left]), names="abde")
    np.testing.assert_allclose(weights[left], expected, rtol=1e-5)
    assert weights[2] == 1


@every_method
def test_one_task_that_counts_has_weight_1(method):
    assert weigh(method, [[4.0, 1.0], [1.0, 9.0]], present=[0, 1])[1] == 1


@every_method
def test_orthogonal_gradients_of_length_1_have_equal_weights(method):
    weights = weigh(method, np.eye(3))
    length = 1 / np.sqrt(3) if method == NashMTL() else 1.0
    np.testing.assert_allclose(weights, length, rtol=1e-5)


@every_method
def test_a_gramian_that_is_not_finite_gives_no_weights(method):
    assert np.isnan(weigh(method, [[1.0, 0.1], [0.1, np.inf]])).all()


@pytest.mark.parametrize(
    ("method", "power"),
    [
        (AlignedMTL(), 0),
        (ConFIG(), 0),
        (FairGrad(), -1),
        (FairGrad(2.0), -4 / 3),
        (GradVac(), 0),
        (IMTLG(), 0),
        (NashMTL(), -1),
        (PCGrad(), 0),
    ],
    ids=repr,
)
def test_weights_by_the_scale_of_all_gradients(method, power):
    weights = weigh(method, gramian(ROWS))
    actual = weigh(method, gramian(1024.0 * ROWS))
    np.testing.assert_allclose(actual, weights * 1024.0**power, rtol=1e-6)


@pytest.mark.parametrize("method", [ConFIG(), FairGrad(), IMTLG(), NashMTL()], ids=repr)
def test_the_direction_does_not_depend_on_the_scale_of_single_losses(method):
    scales = 2.0 ** np.array([0, 9, -3, 5, -12])[:, None]
    expected = unit(weigh(method, gramian(ROWS)) @ ROWS)
    rows = scales * ROWS
    actual = unit(weigh(method, gramian(rows)) @ rows)
    np.testing.assert_allclose(actual, expected, atol=1e-6)


@pytest.mark.parametrize(
    "method", [ConFIG(), FairGrad(), FairGrad(2.0), IMTLG(), NashMTL()], ids=repr
)
def test_the_update_conflicts_with_no_independent_gradients(method):
    rows = ROWS - 0.9 * ROWS.mean(0)
    assert (rows @ (weigh(method, gramian(rows)) @ rows) > 0).all()


def unit(vector):
    return vector / np.linalg.norm(vector)
