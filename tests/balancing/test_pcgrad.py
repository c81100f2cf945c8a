import numpy as np
import pytest
from gradients import of_rank, opposed, stretched
from steps import a_step

from kmtl.balancing import PCGrad, UPGrad
from kmtl.balancing._visits import visits


def weigh(method, rows, **more):
    return method(a_step(gramian=rows @ rows.T, **more), {})[0].numpy()


def project(rows, pairs):
    """Algorithm 1 of Yu et al., 2020, task by task and projection by projection."""
    projected = rows.copy()
    for place in pairs:
        for task, j in place[place[:, 0] != place[:, 1]]:
            product = projected[task] @ rows[j]
            projected[task] -= min(product, 0) / (rows[j] @ rows[j]) * rows[j]
    return projected.sum(0)


@pytest.mark.parametrize("number", [0, 1])
def test_gradients_are_projected_in_random_order(number):
    rows = stretched(of_rank(12, 8), 1)
    step = a_step(gramian=rows @ rows.T, number=number)
    weights, _ = PCGrad(seed=3)(step, {})
    expected = project(rows, visits(step, 3).numpy())
    np.testing.assert_allclose(weights.numpy() @ rows, expected, rtol=1e-9)


def test_orders_differ_by_task_step_and_seed():
    first, second = (a_step(np.ones(20), number=n) for n in (0, 1))
    orders = visits(first, 0).numpy()[..., 1]
    assert np.array_equal(np.sort(orders, 0), np.tile(np.arange(20)[:, None], 20))
    assert len(np.unique(orders.T, axis=0)) == 20
    assert not np.array_equal(orders, visits(second, 0)[..., 1])
    assert not np.array_equal(orders, visits(first, 1)[..., 1])


def test_other_tasks_do_not_change_an_order():
    many = visits(a_step(np.ones(20)), 0).numpy()[..., 1]
    few = visits(a_step(np.ones(4)), 0).numpy()[..., 1]
    kept = [[j for j in many[:, task] if j < 4] for task in range(4)]
    np.testing.assert_array_equal(few.T, kept)


def test_two_tasks_in_closed_form():
    rows = np.array([[1.0, 0.0], [-3.0, 2.0]])
    np.testing.assert_allclose(weigh(PCGrad(), rows), [1 + 3 / 1, 1 + 3 / 13])
    rows[1] *= -1
    np.testing.assert_allclose(weigh(PCGrad(), rows), [1, 1])


def test_two_tasks_as_upgrad():
    rows = opposed(2, noise=0.5)
    np.testing.assert_allclose(weigh(PCGrad(), rows), weigh(UPGrad(), rows), rtol=2e-3)


def test_opposite_gradients_cancel():
    rows = np.array([[3.0, 0.0], [-1.0, 0.0]])
    np.testing.assert_allclose(weigh(PCGrad(), rows) @ rows, 0, atol=1e-12)


def test_a_seed_that_is_no_number():
    with pytest.raises(ValueError, match="`seed` must be an integer of at least 0"):
        PCGrad(-1)
