"""Logs by task, and pictures, for TensorBoard."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from kmtl._checks import (
    as_path,
    check_mapping,
    check_positive_integer,
    import_extra,
)
from kmtl.callbacks._gradient_plot import plot_matrix


class TaskBoard(keras.callbacks.Callback):
    """Writes logs so that TensorBoard shows a group of charts for each task.

    `rich_auc` and `val_rich_auc` become one chart `rich/auc` with two lines, `train`
    and `validation`; weights that a balancing method gives become `rich/weight`. What
    belongs to no task (`loss`, the penalty of sharing, a combined score) keeps its
    name. NaN is left out. `fit` runs this callback after all others that are given, so
    that it sees what they wrote.

    Needs the extra `tensorboard`, and pictures the extra `plot`. Look at it with
    `tensorboard --logdir <log_dir>`.

    Args:
        log_dir: A directory; each run wants one of its own.
        pictures: By name, functions of the model that return a matplotlib figure, or a
            DataFrame to draw as a heat map. Gates, stitches and their like are
            `lambda model: kmtl.analysis.task_relations(model, x).plot()`. With
            `conflict = kmtl.callbacks.GradientConflict()` among the callbacks `lambda
            model: conflict.plot()` shows conflicts, and with a `TaskAffinity` so does
            `lambda model: affinity.affinity[-1]` the affinity.
        every: Pictures are drawn at the end of the first epoch and of one in so many.

    Raises:
        ImportError: If TensorBoard is not installed.
        TypeError: If `log_dir` is no path, or `pictures` no dict of functions; in
            `fit`, if one returns neither a figure nor a DataFrame.
        ValueError: If `every` is no positive integer.

    Example:
        >>> import kmtl, numpy as np, tempfile
        >>> model = kmtl.build_mtl_model((2,), [kmtl.BinaryTask("a")])
        >>> board = kmtl.callbacks.TaskBoard(tempfile.mkdtemp())
        >>> x, y = np.ones((4, 2)), {"a": [0, 1, 0, 1]}
        >>> history = model.fit(x, y, verbose=0, callbacks=[board])
    """

    def __init__(
        self,
        log_dir: str | Path,
        *,
        pictures: Mapping[str, Callable[[Any], Any]] | None = None,
        every: int = 1,
    ) -> None:
        super().__init__()
        import_extra("tensorboard", "tensorboard")  # `tf.summary` needs it
        check_positive_integer(every, "every")
        self.log_dir = as_path(log_dir, "log_dir")
        self.pictures = _checked_pictures(pictures)
        self.every = every
        self._writers: dict[str, Any] = {}
        self._tags: dict[str, str] = {}
        self._first: int | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        del logs
        self._tags = _tags(self.model)
        self._first = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for name, value in (logs or {}).items():
            is_validation = name.startswith("val_")
            plain = name.removeprefix("val_")
            if not math.isnan(value):
                with self._writer(is_validation=is_validation).as_default(step=epoch):
                    tf.summary.scalar(self._tags.get(plain, plain), float(value))
        self._first = epoch if self._first is None else self._first
        if (epoch - self._first) % self.every == 0:
            for name, draw in self.pictures.items():
                image = _pixels(draw(self.model), name)
                with self._writer(is_validation=False).as_default(step=epoch):
                    tf.summary.image(name, image[np.newaxis])
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        del logs
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _writer(self, *, is_validation: bool) -> Any:
        run = "validation" if is_validation else "train"
        if run not in self._writers:
            self._writers[run] = tf.summary.create_file_writer(str(self.log_dir / run))
        return self._writers[run]


def _checked_pictures(
    pictures: Mapping[str, Callable[[Any], Any]] | None,
) -> dict[str, Callable[[Any], Any]]:
    if pictures is None:
        return {}
    check_mapping(pictures, "pictures", "functions by name")
    for name, draw in pictures.items():
        if not callable(draw):
            raise TypeError(
                f"`pictures[{name!r}]` must be a function of the model that returns a "
                f"figure. Received: {draw!r}."
            )
    return dict(pictures)


def _tags(model: Any) -> dict[str, str]:
    """Names in TensorBoard by names in the logs: `"rich/auc"` by `"rich_auc"`."""
    weights = {f"{name}_weight": "weight" for name in model.task_names}
    suffixes = model.task_metrics.suffixes | weights
    return {
        name: f"{name.removesuffix(f'_{suffix}')}/{suffix}"
        for name, suffix in suffixes.items()
    }


def _pixels(drawn: Any, name: str) -> np.ndarray:
    """Draws a figure or a frame; returns `(height, width, 4)` bytes."""
    is_frame = isinstance(drawn, pd.DataFrame)
    figure = plot_matrix(drawn, name) if is_frame else drawn
    agg = import_extra("matplotlib.backends.backend_agg", "plot")
    figures = import_extra("matplotlib.figure", "plot")
    if not isinstance(figure, figures.Figure):
        raise TypeError(
            f"`pictures[{name!r}]` must return a matplotlib figure or a DataFrame. "
            f"Received: {type(figure).__name__}."
        )
    canvas = agg.FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())
