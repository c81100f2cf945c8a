"""`kmtl.balancing.UncertaintyWeighting` and its relative `IMTLL`."""

import numpy as np
import pytest
import tensorflow as tf
from steps import a_step

import kmtl
from kmtl.balancing import IMTLL, UncertaintyWeighting

TASKS = [
    kmtl.RegressionTask("age"),
    kmtl.BinaryTask("rich"),
    kmtl.MulticlassTask("marital", classes=3),
    kmtl.ProductTask("both", ["rich", "poor"]),
]
LOSSES = np.array([3.0, 0.7, 1.1, 0.02])
FACTORS = np.array([0.5, 1.0, 1.0, 1.0])


def state_at(method, learned):
    """The state in which these numbers have been learned."""
    state = dict(method.initial_state(TASKS), learned=np.array(learned))
    return {name: tf.constant(array) for name, array in state.items()}


def gradient_seen(method, learned):
    """The gradient that the first step of Adam gets: its moment has a tenth of it."""
    _, state = method(a_step(LOSSES), state_at(method, learned))
    return 10 * state["first_moment"].numpy()


def gradient_of(objective, learned):
    values = tf.constant(learned, "float64")
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(objective(values))
    return tape.gradient(total, values)


def test_weights_start_at_the_factors_of_the_paper():
    weights, _ = UncertaintyWeighting()(
        a_step(LOSSES), state_at(UncertaintyWeighting(), np.zeros(4))
    )
    np.testing.assert_allclose(weights, FACTORS)


def test_weights_are_the_factors_by_the_variances():
    learned = np.log([4.0, 2.0, 0.5, 1.0])
    weights, _ = UncertaintyWeighting()(
        a_step(LOSSES), state_at(UncertaintyWeighting(), learned)
    )
    np.testing.assert_allclose(weights, [0.125, 0.5, 2.0, 1.0])


def test_the_variance_is_learned_by_the_gradient_of_the_paper():
    learned = [0.3, -0.7, 1.2, 0.0]
    expected = gradient_of(lambda s: FACTORS * tf.exp(-s) * LOSSES + s / 2, learned)
    actual = gradient_seen(UncertaintyWeighting(), learned)
    np.testing.assert_allclose(actual, expected)


def test_imtl_scales_are_learned_by_the_gradient_of_the_paper():
    learned = [0.3, -0.7, 1.2, 0.0]
    expected = gradient_of(lambda s: tf.exp(s) * LOSSES - s, learned)
    np.testing.assert_allclose(gradient_seen(IMTLL(), learned), expected)


def test_imtl_is_twice_uncertainty_with_the_opposite_sign():
    # `test_imtl.py` of TorchJD 0.17; its uncertainty weighting has 1/2 for every task.
    learned = np.array([0.3, -0.7, 1.2, 0.0])
    uncertainty = UncertaintyWeighting()
    step = a_step(LOSSES)
    half, _ = uncertainty(step, state_at(uncertainty, -learned))
    whole, _ = IMTLL()(step, state_at(IMTLL(), learned))
    np.testing.assert_allclose(whole[0], 2 * half[0])


@pytest.mark.parametrize(
    ("method", "at_rest", "weights"),
    [
        (UncertaintyWeighting(), np.log(2 * FACTORS * LOSSES), 0.5 / LOSSES),
        (IMTLL(), -np.log(LOSSES), 1 / LOSSES),
    ],
)
def test_it_rests_where_weighted_losses_are_equal(method, at_rest, weights):
    actual, state = method(a_step(LOSSES), state_at(method, at_rest))
    np.testing.assert_allclose(actual, weights)
    np.testing.assert_allclose(state["learned"], at_rest, atol=1e-6)


@pytest.mark.parametrize("kind", [UncertaintyWeighting, IMTLL])
def test_the_learning_rate_is_the_length_of_the_first_step(kind):
    method = kind(learning_rate=0.5)
    _, state = method(a_step(LOSSES), state_at(method, np.zeros(4)))
    np.testing.assert_allclose(abs(state["learned"]), np.full(4, 0.5), rtol=1e-6)
    with pytest.raises(ValueError, match=r"`learning_rate` must be positive"):
        kind(learning_rate=0.0)


@pytest.mark.parametrize("method", [UncertaintyWeighting(), IMTLL()])
def test_a_loss_that_is_not_positive_teaches_nothing(method):
    before = state_at(method, [0.3, 0.2, 0.1, 0.0])
    weights, after = method(a_step([0.0, -1.0, np.nan, np.inf]), before)
    expected, _ = method(a_step(LOSSES), before)
    np.testing.assert_array_equal(weights, expected)
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)
