"""An export checks itself: a server's answers equal what Keras computes."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from kmtl.export._examples import ExampleFormat
from kmtl.export._served import Served
from kmtl.export._session import Session
from kmtl.export._signatures import Signature

_TOLERANCE = 1e-5
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
        RuntimeError: If an answer differs from what Keras computes by more than 1e-5,
            of the largest number in it if that is above 1 (2e-2 for models that compute
            with 16 bits).
    """
    checked = {
        signature: signature.task_outputs
        for signature in signatures
        if signature.task_outputs is not None
    }
    given, wanted = dict(raw), served.in_keras(raw)
    serialized, rounded = given, wanted
    if any(signature.takes_examples for signature in checked):
        examples = ExampleFormat(served.inputs, served.columns)
        serialized = {"inputs": examples.serialize(raw)}
        rounded = served.in_keras(examples.rounded(raw))
    answers = session.run_all(
        {s.name: serialized if s.takes_examples else given for s in checked}
    )
    tolerance = _HALF_TOLERANCE if _is_half(served.model) else _TOLERANCE
    for signature, task_outputs in checked.items():
        expected = rounded if signature.takes_examples else wanted
        for task, values in task_outputs(answers[signature.name]).items():
            _compare(signature.name, task, values, expected[task], tolerance)


def _compare(
    name: str, task: str, values: np.ndarray, wanted: np.ndarray, tolerance: float
) -> None:
    scale = max(1.0, np.abs(wanted).max(initial=0.0))
    error = _largest_difference(values, wanted)
    if not error <= tolerance * scale:
        raise RuntimeError(
            f"The export was given up: signature {name!r} must give what Keras "
            f"computes for task {task!r}. Received: values that differ by {error:.2g} "
            f"(of {scale:.2g}). Layers that behave in another way outside Keras, such "
            "as ones that draw random numbers in predictions, cannot be served."
        )


def _largest_difference(values: np.ndarray, wanted: np.ndarray) -> float:
    """Returns the largest difference where values are not masked; NaN equals NaN."""
    if values.shape != wanted.shape:
        return float("inf")
    unknown = np.ma.getmaskarray(values) | (np.isnan(values) & np.isnan(wanted))
    differences = np.where(unknown, 0.0, np.abs(np.ma.getdata(values) - wanted))
    return float(differences.max(initial=0.0))


def _is_half(model: keras.Model) -> bool:
    return any("16" in layer.compute_dtype for layer in model.layers)
