"""Which tasks help each other, measured while a model trains."""

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from kmtl._checks import check_positive_integer, shorten
from kmtl.analysis._affinity_plot import plot_affinity
from kmtl.analysis._check_model import check_model
from kmtl.analysis._label_correlation import label_correlation
from kmtl.callbacks import GradientConflict
from kmtl.callbacks import TaskAffinity as AffinityCallback
from kmtl.model import MTLModel

# Below about 30 % gradient cosines are noise, above 40 % they can be relied on:
# https://arxiv.org/abs/2604.07848.
_ENOUGH_OVERLAP = 0.4


@dataclass(frozen=True, eq=False)
class TaskAffinity:
    """What `task_affinity` returns: frames of tasks by tasks, and one number.

    Attributes:
        affinity: How much a step for one task (row) lowers the loss of another
            (column), by that loss; below 0 where it raises it.
        gradient_cosine: The cosine of the gradients of two tasks over the shared
            weights; noise where few rows are labelled for both, see `label_overlap`.
        magnitude_similarity: How near the lengths of the gradients are, 1 for equal
            ones; see `kmtl.callbacks.GradientConflict`.
        condition_number: Of the inner products of the gradients of all tasks.
        label_correlation: How their labels go together; see `label_correlation`.
        label_overlap: The share of the rows in which both are labelled.
    """

    affinity: pd.DataFrame
    gradient_cosine: pd.DataFrame
    magnitude_similarity: pd.DataFrame
    condition_number: float
    label_correlation: pd.DataFrame
    label_overlap: pd.DataFrame

    def plot(self, path: str | Path | None = None) -> Any:
        """Draws each frame as a heat map; needs the extra `plot`.

        Grey is a pair that was never labelled together, and the diagonal of what tasks
        do to themselves.

        Args:
            path: Where to save the picture; nowhere by default.

        Returns:
            The `matplotlib.figure.Figure`.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        figure = plot_affinity(self)
        if path is not None:
            figure.savefig(path, dpi=120)
        return figure


def task_affinity(
    model: MTLModel,
    x: Any,
    y: Any = None,
    *,
    epochs: int = 5,
    every: int = 10,
    step_size: float | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    **arguments: Any,
) -> TaskAffinity:
    """Measures while a model trains how a step for one task changes the loss of others.

    It trains the model from where it is and then puts back everything, so that nothing
    in it has changed: pass a new one to see training from its beginning. To measure a
    training that you need anyway, pass `kmtl.callbacks.TaskAffinity` to `fit`.

    All values are means over the measured steps. An affinity is small, as one step is;
    compare values of one column with each other. It says which tasks are worth a try
    together, not what they will gain: `kmtl.compare` measures that. A step for task i
    and its effect on task j are taken on the same batch, as in the paper.

    Args:
        model: The model, compiled. All tasks must share some weights, as with any
            sharing but `kmtl.sharing.Soft`.
        x: Training data of any form that `fit` takes, or `(x, y)`.
        y: Labels, as for `fit`, unless `x` holds them.
        epochs: How long to train: as long as all tasks still learn. In a network that
            has fitted its training rows, the gradients of the tasks add up to about 0,
            and two copies of one task seem to hurt each other. With `validation_data`
            and `keras.callbacks.EarlyStopping` it ends in time by itself.
        every: How often to measure: one step in so many. A measured step costs about
            one more for each task. Where each row belongs to one task, a batch has few
            rows of every task, and affinities are noise unless they are measured in
            large batches and often, such as `batch_size=1024, every=1` for 16 domains
            of reviews (`benchmarks/task_groups.py`).
        step_size: How far a step goes along the gradient of a task, by default the
            learning rate; see `kmtl.callbacks.TaskAffinity`.
        callbacks: Others that run, such as `EarlyStopping` or a schedule of the
            learning rate.
        **arguments: Other arguments of `fit`: `batch_size`, `sample_weight`,
            `class_weight`, `steps_per_epoch`, `validation_data`, `verbose` (0 here).

    Returns:
        Affinity, how gradients agree, how labels do, and where they overlap.

    Raises:
        TypeError: If `model` is not an `MTLModel`.
        ValueError: If it is not compiled, tasks share no weights, or the data is wrong.

    Warns:
        UserWarning: If less than 40 % of the rows are labelled for both tasks of a
            pair.

    Example:
        >>> import kmtl
        >>> made = kmtl.testing.make_related_tasks((2, 1), rows=200)
        >>> model = kmtl.build_mtl_model((16,), made.tasks)
        >>> found = kmtl.analysis.task_affinity(model, made.x, made.y, epochs=1)
        >>> found.affinity.shape
        (3, 3)

    Reference:
        Fifty et al., "Efficiently Identifying Task Groupings for Multi-Task Learning",
        NeurIPS 2021, https://arxiv.org/abs/2109.04617.
    """
    check_model(model)
    check_positive_integer(epochs, "epochs")
    if not model.compiled:
        raise ValueError("`task_affinity` needs a compiled model; call `compile()`.")
    if y is None and isinstance(x, (tuple, list)) and len(x) == 2:
        x, y = x
    conflict = GradientConflict(at="shared", every=every)
    affinity = AffinityCallback(every=every, step_size=step_size)
    labels = label_correlation(
        model, x, y, steps_per_epoch=arguments.get("steps_per_epoch")
    )
    _warn_of_little_overlap(labels.overlap)
    arguments = {"verbose": 0, **arguments, "epochs": epochs}
    with _put_back(model):
        # Affinity first: it says what cannot be measured.
        model.fit(x, y, callbacks=[*callbacks, affinity, conflict], **arguments)
    return TaskAffinity(
        affinity=_mean(affinity.affinity),
        gradient_cosine=_mean(conflict.cosine),
        magnitude_similarity=_mean(conflict.magnitude_similarity),
        condition_number=float(np.exp(np.mean(np.log(conflict.condition_number)))),
        label_correlation=labels.correlation,
        label_overlap=labels.overlap,
    )


def _warn_of_little_overlap(overlap: pd.DataFrame) -> None:
    names, shares = list(overlap), overlap.to_numpy()
    few = [
        f"{names[i]} and {names[j]} ({shares[i, j]:.0%})"
        for i, j in np.argwhere(np.triu(shares < _ENOUGH_OVERLAP, k=1))
    ]
    if few:
        warnings.warn(
            f"Less than {_ENOUGH_OVERLAP:.0%} of the rows are labelled for both tasks "
            f"of {shorten(few, 6)}. The cosines of their gradients are unreliable, and "
            "noise below about 30 %: do not group tasks by them.",
            stacklevel=3,
        )


@contextlib.contextmanager
def _put_back(model: MTLModel) -> Iterator[None]:
    """Gives all that `fit` changes of a model and its training its value back."""
    model.optimizer.build(model.trainable_variables)
    balancing = model.balancing_state
    variables = [
        *model.variables,
        *model.optimizer.variables,
        *([] if balancing is None else balancing.variables),
    ]
    before = [np.array(keras.ops.convert_to_numpy(v)) for v in variables]
    stopped, history = model.stop_training, vars(model).get("history")
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        model.stop_training = stopped
        if history is not None:
            model.history = history
        elif "history" in vars(model):  # there is none before the first `fit`
            del model.history


def _mean(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The mean over epochs; of a pair over those in which it was seen."""
    values = np.stack([frame.to_numpy() for frame in frames])
    seen = np.isfinite(values)
    counts = seen.sum(axis=0)
    sums = np.where(seen, values, 0.0).sum(axis=0)
    means = np.where(counts > 0, sums, np.nan) / np.maximum(counts, 1)
    return pd.DataFrame(means, frames[0].index, frames[0].columns)
