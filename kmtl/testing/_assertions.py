"""What all checks share: comparisons of nested arrays, and models on sample batches."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kmtl._typing import Tensor

_CHANCES = 10


def require(condition: Any, message: str) -> None:
    """Raises `AssertionError` unless the condition holds."""
    if not condition:
        raise AssertionError(message)


def assert_equal(actual: Any, expected: Any, what: str) -> None:
    """Raises unless two nests of arrays are the same bit by bit; NaN equals NaN."""
    for one, other in _pairs(actual, expected):
        np.testing.assert_array_equal(one, other, err_msg=what)


def assert_close(
    actual: Any, expected: Any, what: str, *, rtol: float = 1e-5, atol: float = 1e-6
) -> None:
    """Raises unless two nests of arrays agree up to rounding."""
    for one, other in _pairs(actual, expected):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol, err_msg=what)


def assert_finite(values: Any, what: str) -> None:
    """Raises if a nest of arrays holds NaN or an infinity."""
    for value in arrays(values):
        require(np.isfinite(value).all(), f"{what} must be finite. Received: {value}.")


def assert_trained(
    model: keras.Model, compute_gradients: Callable[[], list[Any]], what: str
) -> None:
    """Raises unless every trainable variable has a gradient other than zero.

    A few rows may find all units of a layer off. So variables without a gradient get
    some more chances, with other signs of all weights, which are put back.
    """
    rng = np.random.default_rng(0)
    weights = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    missed = _without_gradient(model, compute_gradients())
    for _ in range(_CHANCES):
        if missed:
            _assign(model, [w * rng.choice([-1, 1], w.shape) for w in weights])
            missed &= _without_gradient(model, compute_gradients())
    _assign(model, weights)
    require(not missed, f"{what} must reach the variables {sorted(missed)}.")


def _without_gradient(model: keras.Model, gradients: list[Any]) -> set[str]:
    return {
        variable.path
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
        if gradient is None or not np.any(tf.convert_to_tensor(gradient))
    }


def _assign(model: keras.Model, weights: list[np.ndarray]) -> None:
    for variable, weight in zip(model.trainable_variables, weights, strict=True):
        variable.assign(weight)


def arrays(values: Any) -> list[np.ndarray]:
    """Flattens a nest of tensors; 16-bit floats become float32."""
    tensors = [keras.ops.convert_to_numpy(v) for v in keras.tree.flatten(values)]
    return [
        t.astype("float32") if t.dtype.name in ("bfloat16", "float16") else t
        for t in tensors
    ]


def tensors_of(sample: Any, dtype: str | None = None) -> Any:
    """Turns a nest of arrays into tensors; floats become `dtype`, if it is given."""

    def convert(array: Any) -> Tensor:
        tensor = tf.convert_to_tensor(array)
        return tf.cast(tensor, dtype) if dtype and tensor.dtype.is_floating else tensor

    return keras.tree.map_structure(convert, sample)


def inputs_like(sample: Any) -> Any:
    """Makes a `keras.Input` for each array of a nest; those of a dict keep its keys."""
    inputs = [
        keras.Input(array.shape[1:], dtype=array.dtype.name, name=_name(path))
        for path, array in keras.tree.flatten_with_path(sample)
    ]
    return keras.tree.pack_sequence_as(sample, inputs)


def rows(sample: Any, count: int) -> Any:
    """Returns the first rows of a nest of arrays."""
    return keras.tree.map_structure(lambda array: array[:count], sample)


def assert_shapes(symbolic: Any, real: Any, what: str) -> None:
    """Raises unless static shapes say what the real ones are, where they say it."""
    for static, tensor in zip(
        keras.tree.flatten(symbolic), keras.tree.flatten(real), strict=True
    ):
        fits = len(static.shape) == len(tensor.shape) and all(
            want in (None, have)
            for want, have in zip(static.shape, tensor.shape, strict=True)
        )
        require(fits, f"{what}: static {static.shape}, real {tuple(tensor.shape)}.")


def saved_and_loaded(model: keras.Model) -> keras.Model:
    """Sends a model through a `.keras` file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return keras.saving.load_model(path)


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Sets the global dtype policy for a while."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _pairs(actual: Any, expected: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    keras.tree.assert_same_structure(actual, expected)
    return zip(arrays(actual), arrays(expected), strict=True)


def _name(path: tuple[Any, ...]) -> str | None:
    return path[-1] if path and isinstance(path[-1], str) else None
