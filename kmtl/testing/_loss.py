"""`check_loss`: what a loss must keep to be computed for many tasks at once."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kmtl.testing import _assertions as check

_ROWS, _TASKS, _UNITS = 5, 3, 2


def check_loss(
    loss: keras.losses.Loss, labels: Any = None, outputs: Any = None
) -> None:
    """Checks a loss that reduces the last axis, one value a row and task.

    * `call` maps `(rows, tasks, units)` to `(rows, tasks)`;
    * a task alone and a row alone have the loss that they have among others;
    * values and gradients are finite, and gradients equal numeric ones to 1e-6;
    * `keras.losses.serialize` and back gives the same loss.

    Args:
        loss: A Keras loss.
        labels: Labels of shape `(rows, tasks, units)`; by default numbers from 0.1 to
            0.9.
        outputs: Predictions of the same shape; by default other such numbers.

    Raises:
        AssertionError: If a property does not hold.

    Example:
        >>> import keras, kmtl
        >>> kmtl.testing.check_loss(keras.losses.BinaryFocalCrossentropy(gamma=1.5))
    """
    rng = np.random.default_rng(0)
    shape = (_ROWS, _TASKS, _UNITS)
    labels = rng.uniform(0.1, 0.9, shape) if labels is None else np.asarray(labels)
    outputs = rng.uniform(0.1, 0.9, shape) if outputs is None else np.asarray(outputs)
    labels, outputs = tf.constant(labels, "float64"), tf.constant(outputs, "float64")
    _check_values(loss, labels, outputs)
    _check_gradient(loss, labels, outputs)
    config = keras.losses.serialize(loss)
    restored = keras.losses.deserialize(config)
    check.assert_equal(
        restored.call(labels, outputs), loss.call(labels, outputs), "a restored loss"
    )


def _check_values(loss: keras.losses.Loss, labels: Any, outputs: Any) -> None:
    values = loss.call(labels, outputs)
    shape = tuple(labels.shape[:-1])
    what = f"`call` must give one value a row and task, {shape}"
    check.require(
        tuple(values.shape) == shape, f"{what}. Received: {tuple(values.shape)}."
    )
    check.assert_finite(values, "the loss")
    for task in range(shape[1]):
        alone = loss.call(labels[:, task], outputs[:, task])
        check.assert_close(alone, values[:, task], "the loss of a task alone")
    check.assert_close(loss.call(labels[:1], outputs[:1]), values[:1], "a row alone")


def _check_gradient(loss: keras.losses.Loss, labels: Any, outputs: Any) -> None:
    exact, numeric = tf.test.compute_gradient(
        lambda x: loss.call(labels, x), [outputs], delta=1e-6
    )
    check.assert_finite(exact, "the gradient")
    check.assert_close(exact, numeric, "the gradient", rtol=0, atol=1e-6)
