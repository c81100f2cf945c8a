"""`kmtl.balancing.MGDA`."""

import numpy as np
import pytest
from gradients import (
    FULL_RANK,
    GOLDEN,
    SOME,
    gramian,
    of_rank,
    related,
    weigh,
    weigh_each,
)

import kmtl
from kmtl.balancing import MGDA


def weights_of(gramian, normalize=None, **more):
    return weigh(MGDA(normalize=normalize), gramian, **more)


def test_golden_weights():
    # `test_values.py` of TorchJD 0.17, where the weights sum to 1.
    np.testing.assert_allclose(weights_of(GOLDEN) / 2, [0.6, 0.4], atol=1e-4)


def test_two_tasks_have_the_weights_of_the_closed_form():
    products = np.array([-3.0, -1.0, 0.0, 0.5, 1.5])
    # Sener and Koltun 2018, equation 4.
    first = np.clip((9 - products) / (1 + 9 - 2 * products), 0, 1)
    weights = weigh_each(MGDA(), [[[1, p], [p, 9]] for p in products])
    np.testing.assert_allclose(weights.T, [2 * first, 2 - 2 * first], atol=1e-4)


def test_no_task_gains_less_than_the_step_is_long():
    weights = weigh_each(MGDA(), SOME) / 5
    products = np.einsum("kij,kj->ki", SOME, weights)
    squares = (weights * products).sum(1, keepdims=True)
    lengths = np.sqrt(np.diagonal(SOME, axis1=1, axis2=2))
    slack = 1e-5 * lengths * (lengths * weights + lengths.min(1, keepdims=True))
    assert weights.min() >= 0
    assert (products >= squares - slack).all()


@pytest.mark.parametrize("normalize", [None, "gradient"])
def test_weights_sum_to_the_number_of_tasks(normalize):
    weights = weigh_each(MGDA(normalize=normalize), SOME)
    np.testing.assert_allclose(weights.sum(1), np.full(len(SOME), 5.0))


def test_orthogonal_gradients_of_equal_length_have_weight_one():
    np.testing.assert_allclose(weights_of(4 * np.eye(3)), np.ones(3))


@pytest.mark.parametrize("normalize", ["gradient", "loss", "loss_gradient"])
def test_the_direction_is_that_of_the_gradients_divided(normalize):
    jacobian, losses = related(4), np.array([0.1, 1.0, 3.0, 20.0])
    lengths = np.linalg.norm(jacobian, axis=1)
    divisors = {"gradient": lengths, "loss": losses, "loss_gradient": lengths * losses}
    divisor = divisors[normalize]
    weights = weights_of(gramian(jacobian), normalize, losses=losses)
    of_divided = weights_of(gramian(jacobian / divisor[:, None])) / divisor
    expected = 4 * of_divided / of_divided.sum()
    np.testing.assert_allclose(weights, expected, rtol=1e-4, atol=1e-6)


def test_the_scale_of_a_gradient_does_not_matter_to_the_normalised_direction():
    scales = np.array([1e-4, 1.0, 100.0])
    jacobian = of_rank(3, 64)
    scaled = weights_of(gramian(jacobian * scales[:, None]), "gradient") * scales
    plain = weights_of(gramian(jacobian), "gradient")
    expected = plain / plain.sum()
    np.testing.assert_allclose(scaled / scaled.sum(), expected, rtol=1e-4)


def test_a_gradient_of_zero_has_all_the_weight():
    np.testing.assert_allclose(weights_of(np.diag([1.0, 0.0])), [0, 2], atol=1e-6)


def test_an_absent_task_changes_nothing():
    given = FULL_RANK
    weights = weights_of(given, present=[1, 1, 0, 1, 0])
    rest = [0, 1, 3]
    np.testing.assert_allclose(weights[rest], weights_of(given[np.ix_(rest, rest)]))


def test_an_unknown_normalisation_is_an_error():
    with pytest.raises(ValueError, match=r"`normalize`.*'grad'.*mean 'gradient'"):
        MGDA(normalize="grad")


@pytest.mark.slow
@pytest.mark.parametrize("normalize", [None, "gradient", "loss", "loss_gradient"])
def test_it_keeps_what_a_method_must(normalize):
    kmtl.testing.check_balancing(MGDA(normalize=normalize))
