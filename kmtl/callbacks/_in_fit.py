"""The callbacks that `fit` and `evaluate` add to those of the user."""

from collections.abc import Sequence
from typing import Any

import keras

from kmtl._checks import check_unique
from kmtl.callbacks._combined_score import CombinedScore
from kmtl.callbacks._epoch_counter import EpochCounter
from kmtl.callbacks._epoch_follower import EpochFollower, HasNumber
from kmtl.callbacks._forget_nan import ForgetNaN
from kmtl.callbacks._gradient_conflict import GradientConflict
from kmtl.callbacks._non_finite import NonFiniteGuard
from kmtl.callbacks._progress_bar import ProgressBar
from kmtl.callbacks._task_affinity import TaskAffinity
from kmtl.callbacks._task_board import TaskBoard
from kmtl.callbacks._unlabelled import UnlabelledTasks

_MONITORS = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.ReduceLROnPlateau,
)


def fit_callbacks(model: Any, callbacks: Any, verbose: Any, *, validates: bool) -> Any:
    """Returns what Keras' `fit` gets: a guard first, a progress bar last.

    What writes logs comes before what reads them. A `CallbackList` is left as it is.

    Args:
        model: The model.
        callbacks: What the user passed.
        verbose: As in Keras.
        validates: Whether there is validation data.
    """
    given = _as_list(callbacks)
    if isinstance(given, keras.callbacks.CallbackList):
        return given
    _check_one_recorder(given)
    scores = [c for c in given if isinstance(c, CombinedScore)]
    _check_scores(scores, validates=validates)
    model.stop_recording()  # of a `fit` that was interrupted
    _set_directions(model, given, scores)
    boards = [c for c in given if isinstance(c, TaskBoard)]
    others = [c for c in given if not isinstance(c, (CombinedScore, TaskBoard))]
    monitors = [c for c in given if isinstance(c, _MONITORS)]
    ours = [NonFiniteGuard(), EpochCounter(), *scores]
    return [*ours, *others, ForgetNaN(monitors), *boards, *_bar(given, verbose)]


def follow_epochs(callbacks: Any, epoch: HasNumber) -> Any:
    """Returns callbacks that also note each epoch as it begins."""
    follower = EpochFollower(epoch)
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks.append(follower)
        return callbacks
    return [follower, *callbacks]


def warn_of_unlabelled(callbacks: Any, names: Sequence[str]) -> Any:
    """Returns callbacks that also warn of tasks without a label in the first epoch."""
    warner = UnlabelledTasks(names)
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks.append(warner)
        return callbacks
    return [*callbacks, warner]  # behind the guard: a loss that is NaN is told there


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
    for kind in (GradientConflict, TaskAffinity):
        recorders = [c for c in callbacks if isinstance(c, kind)]
        if len(recorders) > 1:
            raise ValueError(
                f"`callbacks` must hold at most one `{kind.__name__}`: a model records "
                f"gradients at one place. Received: {len(recorders)}."
            )


def _check_scores(scores: Sequence[CombinedScore], *, validates: bool) -> None:
    check_unique([score.name for score in scores], "names of the combined scores")
    if scores and not validates:
        raise ValueError(
            "`CombinedScore` needs `validation_data` or `validation_split`. Received: "
            "neither."
        )


def _set_directions(
    model: Any, callbacks: Any, scores: Sequence[CombinedScore]
) -> None:
    """Says which way is better where `mode="auto"`; Keras knows its own names only."""
    higher = [score.name for score in scores]
    for callback in callbacks:
        if isinstance(callback, _MONITORS) and callback.mode == "auto":
            name = callback.monitor.removeprefix("val_")
            found = model.task_metrics.directions.get(name, "auto")
            callback.mode = "max" if callback.monitor in higher else found
