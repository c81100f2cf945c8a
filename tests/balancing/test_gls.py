"""`kmtl.balancing.GLS`."""

import numpy as np
import tensorflow as tf
from steps import a_step

from kmtl.balancing import GLS


def weights_of(losses, **more):
    return GLS()(a_step(losses, **more), {})[0].numpy()


def test_weights_are_the_geometric_mean_by_the_losses():
    # The geometric mean of 1, 2 and 4 is 2: `test_gls.py` of TorchJD 0.17.
    np.testing.assert_allclose(weights_of([1.0, 2.0, 4.0]), [2.0, 1.0, 0.5])


def test_weights_are_the_gradient_of_the_mean_times_the_number_of_tasks():
    losses = tf.constant([0.3, 5.0, 1.7, 40.0], "float64")
    with tf.GradientTape() as tape:
        tape.watch(losses)
        mean = tf.reduce_prod(losses) ** (1 / 4)
    expected = 4 * tape.gradient(mean, losses)
    np.testing.assert_allclose(weights_of(losses), expected)


def test_equal_losses_have_weight_one():
    np.testing.assert_allclose(weights_of([0.2, 0.2, 0.2]), np.ones(3))


def test_all_weighted_losses_are_equal():
    losses = np.array([1e-6, 3.0, 1e9])
    weighted = losses * weights_of(losses)
    np.testing.assert_allclose(weighted, weighted[0])


def test_a_thousand_losses_neither_underflow_nor_overflow():
    np.testing.assert_allclose(weights_of(np.full(1000, 1e-9)), np.ones(1000))


def test_an_absent_task_is_not_in_the_mean():
    weights = weights_of([1.0, 4.0, 9.0], present=[1, 1, 0])
    np.testing.assert_allclose(weights[:2], [2.0, 0.5])
