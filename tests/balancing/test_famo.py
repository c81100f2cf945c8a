"""`kmtl.balancing.FAMO`."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from steps import a_step, state_of

from kmtl.balancing import FAMO


def run(method, losses, *, scale=1.0):
    """Weights and state after steps, each with the losses before and after it."""
    state = state_of(method, len(losses[0]))
    for before, after in itertools.pairwise(losses):
        step = a_step(scale * before)
        weights, state = method(step, state)
        state = method.after(step, tf.constant(scale * after), state)
    return weights.numpy(), {name: array.numpy() for name, array in state.items()}


def test_weights_are_those_of_torchjd_times_the_number_of_tasks():
    # c z / L with z = 1/2 each and c = 4/3: `test_famo.py` of TorchJD 0.17.
    weights, _ = FAMO()(a_step([1.0, 2.0]), state_of(FAMO(), 2))
    np.testing.assert_allclose(weights, 2 * np.array([2 / 3, 1 / 3]))


def test_equal_losses_start_with_weight_one():
    weights, _ = FAMO()(a_step([0.3, 0.3, 0.3]), state_of(FAMO(), 3))
    np.testing.assert_allclose(weights, np.ones(3))


def test_the_smallest_losses_are_taken_off():
    # The case of `test_min_losses_shifts_values` of TorchJD 0.17.
    method = FAMO(min_losses={"a": 1.0, "b": 1.0})
    weights, _ = method(a_step([2.0, 3.0]), state_of(method, 2))
    np.testing.assert_allclose(weights, 2 * np.array([2 / 3, 1 / 3]))


def test_the_gradient_is_the_fall_through_the_softmax():
    method, learned = FAMO(gamma=0.1), np.array([0.4, -0.2, 0.1])
    state = {**state_of(method, 3), "learned": tf.constant(learned)}
    before, after = np.array([1.0, 2.0, 4.0]), np.array([0.5, 1.9, 4.2])
    state = method.after(a_step(before), tf.constant(after), state)
    logits = tf.constant(learned)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        fall = tf.reduce_sum(tf.nn.softmax(logits) * np.log(before / after))
    expected = tape.gradient(fall, logits) + 0.1 * learned
    np.testing.assert_allclose(10 * state["first_moment"], expected)


def test_the_task_that_fell_most_loses_weight():
    losses = np.array([[1.0, 1.0], [0.5, 0.9]])
    _, state = run(FAMO(), losses)
    np.testing.assert_allclose(state["learned"], [-0.025, 0.025], rtol=1e-5)


def test_losses_that_fall_alike_change_nothing():
    _, state = run(FAMO(), np.array([[4.0, 1.0], [2.0, 0.5], [1.0, 0.25]]))
    np.testing.assert_allclose(state["learned"], np.zeros(2), atol=1e-6)


def test_units_of_measure_do_not_matter():
    losses = np.random.default_rng(0).uniform(0.5, 2.0, (6, 3))
    scale = np.array([1.0, 1e3, 1e-3])
    weights, state = run(FAMO(), losses)
    others, scaled = run(FAMO(), losses, scale=scale)
    np.testing.assert_allclose(scaled["learned"], state["learned"], rtol=1e-9)
    ratio = others * scale / weights
    np.testing.assert_allclose(ratio, ratio[[0, 0, 0]])


def test_a_loss_not_above_the_smallest_teaches_nothing():
    method = FAMO(min_losses={"b": 1.0})
    start = state_of(method, 3)
    step = a_step([2.0, 1.0, 3.0])
    weights, _ = method(step, start)
    state = method.after(step, tf.constant([1.0, 0.9, 2.0], "float64"), start)
    assert weights[1] == 1
    assert state["learned"][1] == state["updates"][1] == 0
    assert state["learned"][0] < 0 < state["learned"][2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": -1.0}, r"`learning_rate` must be positive"),
        ({"gamma": -1.0}, r"`gamma` must be a finite number of at least 0"),
        ({"min_losses": {"a": np.nan}}, r"`min_losses\['a'\]` must be a finite"),
    ],
)
def test_wrong_settings_are_an_error(settings, message):
    with pytest.raises(ValueError, match=message):
        FAMO(**settings)


def test_smallest_losses_are_by_task_name():
    with pytest.raises(TypeError, match=r"`min_losses` must be a dict of numbers by"):
        FAMO(min_losses=[0.1, 0.2])
    with pytest.raises(ValueError, match=r"`min_losses` names an unknown task.*'ab'"):
        state_of(FAMO(min_losses={"ab": 0.1}), 2)
