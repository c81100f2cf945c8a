"""An export checks itself: a server's answers equal what Keras computes."""

import functools
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kmtl._typing import Tensor
from kmtl.export._served import Served
from kmtl.export._session import Session
from kmtl.export._signatures import Arrays, Signature, Tensors
from kmtl.layers._task_outputs import is_standardized

TOLERANCE = 1e-5
# Float16 holds three digits; a graph that fuses operations rounds at other places.
_HALF_TOLERANCE = 2e-2


def verify(
    served: Served,
    signatures: Sequence[Signature],
    session: Session,
    raw: Mapping[str, np.ndarray],
) -> None:
    """Asks every signature about the same rows and compares.

    Args:
        served: What is served.
        signatures: The signatures to check.
        session: The exported version.
        raw: Raw inputs by name.

    Raises:
        RuntimeError: If an answer differs from what Keras computes by more than 1e-5
            (2e-2 for models that compute with 16 bits) of the largest number in it, of
            1 if that is more, or of the labels' standard deviation if that is less.
    """
    checked = {
        signature: signature.task_outputs
        for signature in signatures
        if signature.task_outputs is not None
    }
    given = {False: dict(raw)}  # by whether examples are taken
    in_keras = {False: raw}
    if any(signature.takes_examples for signature in checked):
        given[True] = {"inputs": served.examples.serialize(raw)}
        in_keras[True] = served.examples.rounded(raw)
    wanted = functools.cache(lambda run, rows: _in_keras(run, in_keras[rows]))
    answers = session.run_all({s.name: given[s.takes_examples] for s in checked})
    tolerance, least = _tolerance(served), _least_scales(served)
    for signature, task_outputs in checked.items():
        run = signature.in_keras or served.outputs
        expected = wanted(run, signature.takes_examples)
        for key, values in task_outputs(answers[signature.name]).items():
            error = largest_error(values, expected[key], least.get(key, 1.0))
            if not error <= tolerance:  # nor NaN
                raise _wrong_answer(f"{signature.name!r}, {key!r}", error)


def verify_loaded(
    served: Served, loaded: keras.Model, raw: Mapping[str, np.ndarray]
) -> None:
    """Asks the model that loads again about rows and compares.

    Args:
        served: What is served, of the model that was saved.
        loaded: The model that was loaded.
        raw: Raw inputs by name.

    Raises:
        RuntimeError: If it computes something else, as for `verify`.
    """
    wanted = _in_keras(served.outputs, raw)
    again = _in_keras(lambda x: loaded(served.encoded(x), training=False), raw)
    tolerance, least = _tolerance(served), _least_scales(served)
    for task, values in again.items():
        error = largest_error(values, wanted[task], least[task])
        if not error <= tolerance:  # nor NaN
            raise RuntimeError(
                "The export was given up: the model must compute the same when it is "
                f"loaded. Received: values of task {task!r} that differ by "
                f"{error:.2g}. The `get_config` of a layer of your own must hold all "
                "that its `__init__` takes."
            )


def largest_error(values: np.ndarray, wanted: np.ndarray, least: float = 1.0) -> float:
    """Returns the largest difference, of the largest number or `least` if that is more.

    Masked values are not compared, NaN equals NaN, and of other shapes it is infinite.
    """
    if values.shape != wanted.shape:
        return float("inf")
    known = np.ma.getdata(values)
    same = (known == wanted) | (np.isnan(known) & np.isnan(wanted))
    left = ~(same | np.ma.getmaskarray(values))
    largest = np.abs(wanted[np.isfinite(wanted)]).max(initial=least)
    return float(np.abs(known[left] - wanted[left]).max(initial=0.0) / largest)


def _in_keras(
    run: Callable[[Tensors], dict[str, Tensor]], raw: Arrays
) -> dict[str, np.ndarray]:
    """Runs a function of raw inputs operation by operation, not as a graph."""
    with tf.device("CPU:0"):  # like `Session`
        given = run({name: tf.constant(values) for name, values in raw.items()})
    return {name: ops.convert_to_numpy(value) for name, value in given.items()}


def _wrong_answer(name: str, error: float) -> RuntimeError:
    return RuntimeError(
        f"The export was given up: signature {name} must give what Keras computes. "
        f"Received: values that differ by {error:.2g}. Layers that behave in another "
        "way outside Keras, such as ones that draw random numbers in predictions, "
        "cannot be served."
    )


def _least_scales(served: Served) -> dict[str, float]:
    """By task the scale of its labels, if they are standardised and it is below 1."""
    _, scales = served.model.outputs_layer.label_statistics_on_host()
    return {
        task.name: min(1.0, float(scale)) if is_standardized(task) else 1.0
        for task, scale in zip(served.model.tasks, scales, strict=True)
    }


def _tolerance(served: Served) -> float:
    is_half = any("16" in layer.compute_dtype for layer in served.model.layers)
    return _HALF_TOLERANCE if is_half else TOLERANCE
