"""`check_layer`: what every layer of a model must keep."""

import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kmtl._typing import Tensor
from kmtl.testing import _assertions as check

_HALF_TOLERANCE = 0.05


def check_layer(
    make_layer: Callable[[], keras.layers.Layer],
    sample: Any,
    *,
    input_gradient: bool = True,
) -> None:
    """Checks a layer on a batch of inputs.

    * its config goes through JSON and back, and gives the same layer;
    * a model of it comes back from a `.keras` file bit-equal, weights included;
    * static shapes are the real ones, for every number of rows;
    * gradients equal numeric ones in float64, to 1e-6;
    * XLA computes what eager mode does;
    * it runs under `mixed_float16` and `mixed_bfloat16`, near the float32 result.

    Args:
        make_layer: Makes a new layer.
        sample: Inputs of at least two rows: an array, or a list or dict of arrays.
        input_gradient: Whether gradients by the inputs are checked too, besides those
            by the weights. Turn it off for a layer that rounds its inputs on purpose.

    Raises:
        AssertionError: If a property does not hold.

    Example:
        >>> import kmtl, numpy as np
        >>> kmtl.testing.check_layer(
        ...     lambda: kmtl.layers.TaskDense(2, tasks=["a", "b"]),
        ...     np.random.default_rng(0).normal(size=(3, 4)).astype("float32"),
        ... )
    """
    keras.utils.set_random_seed(0)
    layer = make_layer()
    layer(sample)
    _move_weights(layer)
    _check_config(layer, sample)
    _check_saving(layer, sample)
    _check_shapes(layer, sample)
    _check_gradient(layer, sample, input_gradient)
    _check_xla(layer, sample)
    for policy in ("mixed_float16", "mixed_bfloat16"):
        _check_half(layer, sample, policy)


def _move_weights(layer: keras.layers.Layer) -> None:
    """Moves weights off their initial values, which loading could draw again."""
    rng = np.random.default_rng(0)
    layer.set_weights([w + rng.uniform(0.1, 0.2, w.shape) for w in layer.get_weights()])


def _copy(layer: keras.layers.Layer, sample: Any, **changes: Any) -> Any:
    """Makes the layer anew from its config, as JSON keeps it, with its weights."""
    config = json.loads(json.dumps(layer.get_config()))
    copy = type(layer).from_config({**config, **changes})
    copy(sample)
    copy.set_weights(layer.get_weights())
    return copy


def _check_config(layer: keras.layers.Layer, sample: Any) -> None:
    restored = _copy(layer, sample)
    before, after = (json.dumps(x.get_config()) for x in (layer, restored))
    what = "`from_config(get_config())` must keep the config"
    check.require(before == after, f"{what}. Received: {before} and {after}.")
    check.assert_equal(restored(sample), layer(sample), "a layer from its config")


def _check_saving(layer: keras.layers.Layer, sample: Any) -> None:
    inputs = check.inputs_like(sample)
    model = keras.Model(inputs, layer(inputs))
    loaded = check.saved_and_loaded(model)
    check.assert_equal(loaded(sample), model(sample), "a loaded model")


def _check_shapes(layer: keras.layers.Layer, sample: Any) -> None:
    symbolic = layer(check.inputs_like(sample))
    for batch in (sample, check.rows(sample, 1)):
        check.assert_shapes(symbolic, layer(batch), "the shape of the output")


def _check_gradient(
    layer: keras.layers.Layer, sample: Any, input_gradient: bool
) -> None:
    sample = check.tensors_of(sample, "float64")
    layer = _copy(layer, sample, dtype="float64")
    leaves = keras.tree.flatten(sample)
    by = [i for i, x in enumerate(leaves) if x.dtype.is_floating and input_gradient]
    weights = [v.value for v in layer.trainable_variables]
    fixed = [v.value for v in layer.non_trainable_variables]

    arguments = [tf.convert_to_tensor(w) for w in weights] + [leaves[i] for i in by]
    if not arguments:
        return
    shapes = [x.shape for x in arguments]

    @tf.function(autograph=False)  # numeric gradients call it twice a number
    def outputs(numbers: Tensor) -> Tensor:
        parts = tf.split(numbers, [shape.num_elements() for shape in shapes])
        parts = [tf.reshape(x, shape) for x, shape in zip(parts, shapes, strict=True)]
        given = list(leaves)
        for i, value in zip(by, parts[len(weights) :], strict=True):
            given[i] = value
        structure = keras.tree.pack_sequence_as(sample, given)
        result, _ = layer.stateless_call(parts[: len(weights)], fixed, structure)
        return _joined(keras.tree.flatten(result))

    exact, numeric = tf.test.compute_gradient(outputs, [_joined(arguments)])
    check.assert_close(exact, numeric, "the gradient", rtol=0, atol=1e-6)


def _joined(tensors: list[Tensor]) -> Tensor:
    return tf.concat([tf.reshape(x, (-1,)) for x in tensors], axis=0)


def _check_xla(layer: keras.layers.Layer, sample: Any) -> None:
    compiled = tf.function(layer, jit_compile=True)
    tensors = check.tensors_of(sample)
    check.assert_close(compiled(tensors), layer(tensors), "XLA", rtol=1e-4)


def _check_half(layer: keras.layers.Layer, sample: Any, policy: str) -> None:
    outputs = _copy(layer, sample, dtype=policy)(sample)
    wanted = keras.DTypePolicy(policy).compute_dtype
    for output in keras.tree.flatten(outputs):
        what = f"the output under {policy} must be {wanted}"
        check.require(output.dtype == wanted, f"{what}. Received: {output.dtype}.")
    scale = max(1.0, *(np.abs(a).max() for a in check.arrays(layer(sample))))
    check.assert_close(
        outputs, layer(sample), policy, rtol=0, atol=_HALF_TOLERANCE * scale
    )
