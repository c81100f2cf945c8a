import numpy as np
import pytest
import tensorflow as tf
from steps import a_step, state_of

from kmtl.balancing import GradNorm
from kmtl.balancing._directions import directions
from kmtl.balancing._gradnorm import _gradient


def run(method, lengths, losses):
    """The weights of every step, and the last state; gradients are orthogonal."""
    state = state_of(method, len(lengths))
    weights = []
    for number, loss in enumerate(losses):
        step = a_step(loss, gramian=np.diag(np.square(lengths)), number=number)
        now, state = method(step, state)
        weights.append(now.numpy())
    return np.array(weights), state


def test_weights_start_at_1_and_sum_to_the_number_of_tasks():
    weights, _ = run(GradNorm(), [1.0, 9.0, 3.0], np.ones((5, 3)))
    np.testing.assert_array_equal(weights[0], 1)
    np.testing.assert_allclose(weights.sum(1), 3)


def test_with_alpha_0_gradients_become_equally_long():
    weights, _ = run(GradNorm(0, learning_rate=0.05), [1.0, 4.0], np.ones((40, 2)))
    np.testing.assert_allclose(weights[-1], [1.6, 0.4], rtol=0.1)


def test_a_task_that_learns_slowly_gains_weight():
    losses = [[1.0, 1.0]] + [[0.9, 0.1]] * 20
    weights, state = run(GradNorm(), [1.0, 1.0], losses)
    assert weights[-1][0] > 1.5 * weights[-1][1]
    np.testing.assert_array_equal(state["first_losses"], [1, 1])


def test_the_gradient_is_that_of_the_published_objective():
    lengths, targets = np.array([1.0, 4.0, 0.5]), np.array([0.7, 1.1, 2.0])
    learned = tf.Variable([0.3, -0.2, 0.1], dtype="float64")
    with tf.GradientTape() as tape:
        weights = 3 * tf.nn.softmax(learned)
        mean = tf.stop_gradient(tf.reduce_mean(weights * lengths))
        objective = tf.reduce_sum(tf.abs(weights * lengths / mean - targets))
    gradients = directions(a_step(gramian=np.diag(lengths**2)))
    actual = _gradient(weights * lengths, weights, targets, gradients)
    np.testing.assert_allclose(actual, tape.gradient(objective, learned), rtol=1e-9)


def test_the_unit_of_a_loss_does_not_matter_to_its_rate():
    losses = np.random.default_rng(0).uniform(0.5, 1.0, (5, 2))
    expected, _ = run(GradNorm(), [1.0, 2.0], losses)
    actual, _ = run(GradNorm(), [1.0, 2.0], losses * [1000, 1])
    np.testing.assert_allclose(actual, expected, rtol=1e-9)


def test_a_loss_that_is_not_positive_learns_at_the_mean_rate():
    expected, _ = run(GradNorm(), [1.0, 2.0], np.ones((5, 2)))
    actual, _ = run(GradNorm(), [1.0, 2.0], [[1.0, -0.5], [0.2, -3.0]] * 2 + [[1, 1]])
    np.testing.assert_allclose(actual, expected, rtol=1e-9)


def test_settings_that_are_not_valid():
    with pytest.raises(ValueError, match="`alpha` must be a finite number of at least"):
        GradNorm(-1.0)
    with pytest.raises(ValueError, match="`learning_rate` must be positive"):
        GradNorm(learning_rate=0)
