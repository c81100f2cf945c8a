import numpy as np
import pytest
from gradients import of_rank, stretched
from steps import a_step, state_of

from kmtl.balancing import GradVac, PCGrad
from kmtl.balancing._visits import visits

ROWS = [stretched(of_rank(7, 5, seed), 1) for seed in range(3)]


def a_step_of(rows, number=0, **more):
    return a_step(gramian=rows @ rows.T, number=number, **more)


def vaccinate(rows, pairs, averages, beta):
    """Algorithm 1 of Wang et al., 2021, on gradients; changes the averages."""
    adjusted = rows.copy()
    for place in pairs:
        for task, j in place[place[:, 0] != place[:, 1]]:
            length, other = np.linalg.norm(adjusted[task]), np.linalg.norm(rows[j])
            target, cosine = (
                averages[task, j],
                adjusted[task] @ rows[j] / length / other,
            )
            if cosine < target:
                sine, target_sine = np.sqrt(1 - cosine**2), np.sqrt(1 - target**2)
                factor = target * sine - cosine * target_sine
                adjusted[task] += length * factor / other / target_sine * rows[j]
            averages[task, j] += beta * (cosine - target)
    return adjusted.sum(0)


def test_gradients_are_turned_to_their_average_cosines():
    method, averages = GradVac(0.3, seed=2), np.zeros((7, 7))
    state = state_of(method, 7)
    for number, rows in enumerate(ROWS):
        step = a_step_of(rows, number)
        weights, state = method(step, state)
        expected = vaccinate(rows, visits(step, 2).numpy(), averages, 0.3)
        np.testing.assert_allclose(weights.numpy() @ rows, expected, rtol=1e-8)
        np.testing.assert_allclose(state["cosines"], averages, atol=1e-12)


def test_the_first_step_is_that_of_pcgrad():
    step = a_step_of(ROWS[0])
    weights, _ = GradVac()(step, state_of(GradVac(), 7))
    np.testing.assert_allclose(weights, PCGrad()(step, {})[0], rtol=1e-9)


def test_a_turned_gradient_has_the_average_cosine():
    rows = np.array([[1.0, 0.0], [0.0, 2.0]])
    state = {"cosines": np.array([[0.0, 0.6], [0.0, 0.0]])}
    weights = GradVac()(a_step(gramian=rows @ rows.T), state)[0].numpy()
    turned = [1.0, (weights[1] - 1) * 2]
    assert turned[1] / np.linalg.norm(turned) == pytest.approx(0.6)


def test_averages_of_absent_tasks_stay():
    _, before = GradVac()(a_step_of(ROWS[0]), state_of(GradVac(), 7))
    step = a_step_of(ROWS[1], 1, present=[1, 1, 1, 0, 1, 1, 1])
    _, after = GradVac()(step, before)
    same = np.equal(before["cosines"], after["cosines"])
    expected = np.eye(7, dtype=bool)
    expected[3] = expected[:, 3] = True
    np.testing.assert_array_equal(same, expected)


def test_nothing_is_left_of_opposite_gradients():
    rows = np.array([[3.0, 0.0], [-1.0, 0.0]])
    step = a_step(gramian=rows @ rows.T)
    weights, state = GradVac()(step, state_of(GradVac(), 2))
    np.testing.assert_allclose(weights.numpy() @ rows, 0, atol=1e-12)
    np.testing.assert_array_equal(state["cosines"], [[0, -0.5], [-0.5, 0]])


def test_a_beta_that_is_no_share():
    with pytest.raises(ValueError, match="`beta` must be from 0 to 1"):
        GradVac(1.5)
