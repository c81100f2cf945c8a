"""IMTLG and ConFIG, whose updates have the same angle with all gradients."""

import numpy as np
import pytest
from gradients import gramian, of_rank, stretched
from steps import a_step

from kmtl.balancing import IMTLG, ConFIG

both = pytest.mark.parametrize("method", [IMTLG(), ConFIG()], ids=repr)
OPPOSED = np.array([[2.0, 0.0], [-1.0, 0.0]])
# Around an axis in three dimensions, so one depends on the others.
CONE = [[1.0, 0, 1], [0, 2, 2], [-3, 0, 3], [0.6, -0.8, 1]]


def weigh(method, rows):
    return method(a_step(gramian=gramian(rows)), {})[0].numpy()


def projections(method, rows):
    """Inner products of the update with unit gradients."""
    update = weigh(method, rows) @ rows
    return rows @ update / np.linalg.norm(rows, axis=1)


@both
@pytest.mark.parametrize(
    "rows",
    [of_rank(5, 64), stretched(of_rank(20, 64), 6), np.array(CONE)],
    ids=["5", "20", "cone"],
)
def test_projections_on_the_update_are_equal(method, rows):
    values = projections(method, rows)
    np.testing.assert_allclose(values, values.mean(), rtol=1e-4)


@both
def test_opposite_gradients_leave_no_direction(method):
    np.testing.assert_array_equal(weigh(method, OPPOSED), 0)


def test_weights_of_imtlg_sum_to_the_number_of_tasks():
    assert weigh(IMTLG(), stretched(of_rank(5, 64), 1)).sum() == pytest.approx(5)


def test_weights_of_imtlg_that_nearly_cancel_are_bounded():
    # With cosines 0.9, 0.9 and 0.7 the first gradient has a negative coefficient.
    cosines = np.array([[1, 0.9, 0.9], [0.9, 1, 0.7], [0.9, 0.7, 1]])
    for length in np.geomspace(0.01, 10, 31):
        scales = np.array([length, 1, 1])
        given = cosines * np.outer(scales, scales)
        weights = IMTLG()(a_step(gramian=given), {})[0].numpy()
        assert np.abs(weights).sum() < 30.001
        assert (given @ weights > 0).all()


def test_the_length_of_config_is_the_sum_of_projections():
    rows = stretched(of_rank(5, 64), 1)
    update = weigh(ConFIG(), rows) @ rows
    length = np.linalg.norm(update)
    assert (rows @ update / length).sum() == pytest.approx(length, rel=1e-5)


def test_config_as_published():
    rows = stretched(of_rank(5, 4), 1)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    direction = np.linalg.pinv(units) @ np.ones(5)
    direction /= np.linalg.norm(direction)
    expected = (rows @ direction).sum() * direction
    np.testing.assert_allclose(weigh(ConFIG(), rows) @ rows, expected, rtol=1e-4)
