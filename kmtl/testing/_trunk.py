"""`check_trunk`: what a trunk must keep."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kmtl.testing import _assertions as check
from kmtl.trunks import as_trunk


def check_trunk(trunk: Any, sample: Any) -> None:
    """Checks a trunk on a batch of inputs.

    * it makes one tensor, whose static shape is the real one, for every number of rows;
    * its values are finite, also while training;
    * a gradient reaches each of its trainable variables;
    * XLA computes what eager mode does, and a `.keras` file keeps it bit-equal;
    * it runs under `mixed_float16`.

    Args:
        trunk: Anything `kmtl.trunks.as_trunk` takes.
        sample: Inputs of at least two rows: an array, or a dict of arrays.

    Raises:
        AssertionError: If a property does not hold.
        ValueError: If it is no trunk.

    Example:
        >>> import kmtl, numpy as np
        >>> kmtl.testing.check_trunk(kmtl.trunks.MLP([8, 4]), np.eye(6))
    """
    keras.utils.set_random_seed(0)
    model = _model(trunk, sample)
    _check_values(model, sample)
    _check_gradient(model, sample)
    compiled = tf.function(model, jit_compile=True)
    tensors = check.tensors_of(sample, keras.config.floatx())
    check.assert_close(compiled(tensors), model(tensors), "XLA", rtol=1e-4, atol=1e-5)
    loaded = check.saved_and_loaded(model)
    check.assert_equal(loaded(sample), model(sample), "a loaded trunk")
    with check.dtype_policy("mixed_float16"):
        check.assert_finite(_model(trunk, sample)(sample), "mixed_float16")


def _model(trunk: Any, sample: Any) -> keras.Model:
    inputs = check.inputs_like(sample)
    return keras.Model(inputs, as_trunk(trunk)(inputs))


def _check_values(model: keras.Model, sample: Any) -> None:
    for batch in (sample, check.rows(sample, 1)):
        outputs = model(batch)
        check.assert_finite(outputs, "the output")
        check.assert_shapes(model.output, outputs, "the shape of the output")
    check.assert_finite(model(sample, training=True), "the output while training")


def _check_gradient(model: keras.Model, sample: Any) -> None:
    def gradients() -> list[Any]:
        with tf.GradientTape() as tape:
            # Not the plain sum: that of a normalised output has no gradient.
            total = tf.reduce_sum(_weigh(model(sample, training=True)))
        return tape.gradient(total, [v.value for v in model.trainable_variables])

    check.assert_trained(model, gradients, "a gradient")


def _weigh(outputs: Any) -> Any:
    rng = np.random.default_rng(0)
    return outputs * tf.constant(rng.normal(size=outputs.shape), outputs.dtype)
