"""The callbacks that `fit` and `evaluate` add to those of the user."""

from typing import Any

import keras

from kmtl.callbacks._epoch_counter import EpochCounter
from kmtl.callbacks._epoch_follower import EpochFollower, HasNumber
from kmtl.callbacks._gradient_conflict import GradientConflict
from kmtl.callbacks._non_finite import NonFiniteGuard
from kmtl.callbacks._progress_bar import ProgressBar

_MONITORS = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.ReduceLROnPlateau,
)


def fit_callbacks(model: Any, callbacks: Any, verbose: Any) -> Any:
    """Returns what Keras' `fit` gets: a guard first, a progress bar last."""
    given = _as_list(callbacks)
    if isinstance(given, keras.callbacks.CallbackList):
        return given
    _check_one_recorder(given)
    model.stop_recording()  # of a `fit` that was interrupted
    _set_directions(model, given)
    return [NonFiniteGuard(), EpochCounter(), *given, *_bar(given, verbose)]


def follow_epochs(callbacks: Any, epoch: HasNumber) -> Any:
    """Returns callbacks that also note each epoch as it begins."""
    follower = EpochFollower(epoch)
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks.append(follower)
        return callbacks
    return [follower, *callbacks]


def evaluate_callbacks(model: Any, callbacks: Any, verbose: Any) -> Any:
    """Returns what Keras' `evaluate` gets."""
    del model
    given = _as_list(callbacks)
    if isinstance(given, keras.callbacks.CallbackList):
        return given
    return [*given, *_bar(given, verbose)]


def _as_list(callbacks: Any) -> Any:
    if isinstance(callbacks, (keras.callbacks.CallbackList, list, tuple)):
        return callbacks
    return [] if callbacks is None else [callbacks]


def _bar(given: Any, verbose: Any) -> list[Any]:
    has_one = any(isinstance(c, keras.callbacks.ProgbarLogger) for c in given)
    return [] if has_one or verbose == 0 else [ProgressBar()]


def _check_one_recorder(callbacks: Any) -> None:
    recorders = [c for c in callbacks if isinstance(c, GradientConflict)]
    if len(recorders) > 1:
        raise ValueError(
            "`callbacks` must hold at most one `GradientConflict`: a model records "
            f"gradients at one place. Received: {len(recorders)}."
        )


def _set_directions(model: Any, callbacks: Any) -> None:
    """Says which way is better where `mode="auto"`; Keras knows its own names only."""
    for callback in callbacks:
        if isinstance(callback, _MONITORS) and callback.mode == "auto":
            name = callback.monitor.removeprefix("val_")
            callback.mode = model.task_metrics.directions.get(name, "auto")
