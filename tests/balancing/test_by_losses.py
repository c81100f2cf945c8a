"""What all methods by losses keep."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from steps import a_step, state_of

from kmtl.balancing import (
    DWA,
    FAMO,
    GLS,
    IMTLL,
    RLW,
    STCH,
    FixedWeights,
    LossBalancing,
    NormalizedLosses,
    ScaleInvariant,
    UncertaintyWeighting,
)

BY_LOGARITHMS = [
    FAMO(gamma=0.01),
    GLS(),
    IMTLL(),
    ScaleInvariant(),
    STCH(0.5, warmup_epochs=1),
    UncertaintyWeighting(0.1),
]
METHODS = [DWA(1.5), FixedWeights(), NormalizedLosses(), RLW(3), *BY_LOGARITHMS]
# Before each step and after the last one; two steps are an epoch.
LOSSES = np.random.default_rng(0).uniform(0.2, 3.0, (9, 3))

every_method = pytest.mark.parametrize("method", METHODS, ids=repr)


def run(method, losses, present=None):
    """The weights of every step, and the last state."""
    state = state_of(method, losses.shape[1])
    present = np.ones(losses.shape) if present is None else present
    weights = []
    for number in range(len(losses) - 1):
        step = a_step(
            np.where(present[number], losses[number], 0),
            present=present[number],
            epoch=number // 2,
            number=number,
            constant_losses=tf.constant(present[number] * (1.0 + losses[0])),
        )
        now, state = method(step, state)
        state = method.after(step, tf.constant(losses[number + 1]), state)
        weights.append(now.numpy())
    return np.array(weights), state


@every_method
def test_a_task_that_is_always_absent_changes_nothing(method):
    present = np.ones((9, 3)) * [1, 1, 0]
    weights, state = run(method, LOSSES, present)
    expected, alone = run(method, LOSSES[:, :2])
    np.testing.assert_allclose(weights[:, :2], expected, rtol=1e-12)
    for name, array in alone.items():
        np.testing.assert_allclose(state[name][:2], array, rtol=1e-12)


@every_method
def test_the_state_of_an_absent_task_stays(method):
    present = np.ones((9, 3))
    present[4:, 2] = 0
    _, state = run(method, LOSSES, present)
    _, before = run(method, LOSSES[:5], present)
    for name, array in before.items():
        np.testing.assert_array_equal(state[name][2], array[2])


@every_method
def test_weights_and_state_stay_finite(method):
    losses = LOSSES.copy()
    losses[1:7, 1] = [0.0, -1.0, 1e-40, np.nan, np.inf, -np.inf]
    weights, state = run(method, losses)
    assert np.isfinite(weights).all()
    assert all(np.isfinite(array).all() for array in state.values())


@pytest.mark.parametrize("method", BY_LOGARITHMS, ids=repr)
def test_a_loss_without_a_logarithm_is_as_none_to_the_others(method):
    losses, present = LOSSES.copy(), np.ones((9, 3))
    losses[2:6, 1], present[2:6, 1] = [0.0, -1.0, np.nan, np.inf], 0
    weights, _ = run(method, losses)
    expected, _ = run(method, losses, present)
    np.testing.assert_allclose(weights[:, [0, 2]], expected[:, [0, 2]], rtol=1e-12)


@every_method
def test_the_largest_and_smallest_losses_give_finite_float32_weights(method):
    weights, _ = run(method, 10.0 ** np.random.default_rng(0).uniform(-30, 30, (9, 3)))
    assert np.isfinite(weights.astype("float32")).all()


@every_method
def test_the_config_restores_the_settings(method):
    config = keras.saving.serialize_keras_object(method)
    assert keras.saving.deserialize_keras_object(config) == method


def test_the_smallest_losses_are_restored():
    method = FAMO(min_losses={"a": 0.5, "b": -1})
    config = keras.saving.serialize_keras_object(method)
    assert keras.saving.deserialize_keras_object(config) == method


@every_method
def test_nothing_is_learned_after_the_step_unless_asked_for(method):
    asks = isinstance(method, FAMO)
    assert method.sees_losses_after == asks
    assert (type(method).after is LossBalancing.after) != asks


@every_method
def test_a_step_without_any_task_is_fine(method):
    weights, _ = run(method, LOSSES[:2], np.zeros((2, 3)))
    assert np.isfinite(weights).all()
