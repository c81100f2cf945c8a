"""`check_regularizer`: what a penalty on stacked weights must keep."""

import json
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kmtl._typing import Tensor
from kmtl.regularizers import ProximalRegularizer, TaskRegularizer
from kmtl.testing import _assertions as check

_STEP = 0.3
_TRIES = 20


def check_regularizer(regularizer: TaskRegularizer, weights: Any = None) -> None:
    """Checks a regularizer of weights whose first axis is tasks.

    * the penalty is a finite scalar of at least 0 in the dtype of the weights, finite
      for 16-bit weights too, and a call multiplies it by the strength;
    * it takes tensors and variables;
    * gradients equal numeric ones in float64, to 1e-6, and are finite where all tasks
      are equal and at zero;
    * XLA computes what eager mode does;
    * its config goes through JSON and back, and gives the same regularizer;
    * a `proximal` step of length 0 does nothing, and no point near the result of
      another is better.

    Args:
        regularizer: The regularizer, for the tasks of the weights.
        weights: Weights of shape `(tasks, ...)` at which the penalty has a gradient;
            by default normal draws of shape `(4, 3, 2)`.

    Raises:
        AssertionError: If a property does not hold.

    Example:
        >>> import kmtl
        >>> kmtl.testing.check_regularizer(kmtl.regularizers.TraceNorm(0.1))
    """
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(4, 3, 2)) if weights is None else np.asarray(weights)
    stack = tf.constant(weights, "float64")
    _check_value(regularizer, stack)
    _check_gradient(regularizer, stack)
    _check_xla(regularizer, tf.cast(stack, "float32"))
    _check_config(regularizer, stack)
    if isinstance(regularizer, ProximalRegularizer):
        _check_proximal(regularizer, stack)


def _check_value(regularizer: TaskRegularizer, stack: Tensor) -> None:
    for dtype in ("float64", "float32"):
        penalty = regularizer.penalty(tf.cast(stack, dtype))
        check.require(
            penalty.shape == () and penalty.dtype == dtype and penalty >= 0,
            f"the penalty of {dtype} weights must be a scalar of at least 0 in {dtype}."
            f" Received: {penalty}.",
        )
    for dtype in ("float32", "float16", "bfloat16"):
        penalty = tf.cast(regularizer.penalty(tf.cast(stack, dtype)), "float32")
        check.assert_finite(penalty, f"the penalty of {dtype} weights")
    expected = regularizer.strength * regularizer.penalty(stack)
    check.assert_close(regularizer(stack), expected, "the strength times the penalty")
    for variable in (tf.Variable(stack), keras.Variable(stack, dtype="float64")):
        check.assert_close(regularizer(variable), expected, "the penalty of a variable")


def _check_gradient(regularizer: TaskRegularizer, stack: Tensor) -> None:
    exact, numeric = tf.test.compute_gradient(regularizer.penalty, [stack], delta=1e-6)
    check.assert_close(exact, numeric, "the gradient", rtol=1e-6, atol=1e-6)
    equal = tf.broadcast_to(stack[:1], stack.shape)
    for name, kink in {"equal tasks": equal, "zero": 0 * stack}.items():
        for dtype in ("float64", "float32"):
            _, gradient = _value_and_gradient(regularizer, tf.cast(kink, dtype))
            check.assert_finite(gradient, f"the gradient at {name}")


def _value_and_gradient(
    regularizer: TaskRegularizer, stack: Tensor
) -> tuple[Tensor, Tensor]:
    with tf.GradientTape() as tape:
        tape.watch(stack)
        value = regularizer.penalty(stack)
    return value, tape.gradient(value, stack)


def _check_xla(regularizer: TaskRegularizer, stack: Tensor) -> None:
    compiled = tf.function(_value_and_gradient, jit_compile=True)
    for point in (stack, tf.broadcast_to(stack[:1], stack.shape), 0 * stack):
        expected = _value_and_gradient(regularizer, point)
        actual = compiled(regularizer, point)
        check.assert_close(actual, expected, "XLA", rtol=1e-4, atol=1e-4)


def _check_config(regularizer: TaskRegularizer, stack: Tensor) -> None:
    config = json.loads(json.dumps(keras.regularizers.serialize(regularizer)))
    restored = keras.regularizers.deserialize(config)
    what = "a restored regularizer"
    check.assert_equal(restored(stack), regularizer(stack), what)


def _check_proximal(regularizer: ProximalRegularizer, stack: Tensor) -> None:
    still = regularizer.proximal(stack, 0.0)
    check.assert_close(still, stack, "a proximal step of length 0")
    near = regularizer.proximal(stack, _STEP)

    def cost(point: Tensor) -> Tensor:
        apart = tf.reduce_sum(tf.square(point - stack)) / 2
        return apart + _STEP * regularizer.penalty(point)

    rng = np.random.default_rng(0)
    for size in (1e-3, 1e-1):
        for _ in range(_TRIES):
            other = near + size * rng.normal(size=stack.shape)
            check.require(
                cost(near) <= cost(other) + 1e-9,
                "the proximal step must be the best point: one near it costs "
                f"{cost(other)}, the step {cost(near)}.",
            )
