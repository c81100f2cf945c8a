"""What a history says of each task, and pictures of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kmtl.analysis._report._canvas import ACCENT, CONTRAST, INK, MUTED, Canvas
from kmtl.analysis._report._words import short

_WEIGHT = "weight"
_ARROWS = {"max": " ↑ better", "min": " ↓ better"}


@dataclass
class Curves:
    """The logs of training, sorted by task.

    Attributes:
        epochs: How many epochs there are.
        total: Series of the total loss, `"train"` and `"valid"`.
        by_task: Series by task and metric, likewise.
        weights: The weights that a balancing method gave, by task.
    """

    epochs: int = 0
    total: dict[str, np.ndarray] = field(default_factory=dict)
    by_task: dict[str, dict[str, dict[str, np.ndarray]]] = field(default_factory=dict)
    weights: dict[str, np.ndarray] = field(default_factory=dict)

    def last(self, task: str, metric: str, kind: str) -> float:
        """The last value of a series, NaN if there is none."""
        values = self.by_task.get(task, {}).get(metric, {}).get(kind, np.zeros(0))
        return float(values[-1]) if len(values) else float("nan")

    def best_epoch(self, task: str) -> int | None:
        """The epoch, from 1, with the lowest loss in validation; `None` if unknown."""
        losses = self.by_task.get(task, {}).get("loss", {}).get("valid")
        if losses is None or not np.isfinite(losses).any():
            return None
        return int(np.nanargmin(losses)) + 1


def read_history(history: Any, tasks: Iterable[str]) -> Curves:
    """Reads a Keras `History`, its dict, or `None`.

    Raises:
        TypeError: If it is something else.
    """
    logs = getattr(history, "history", history)
    if logs is None:
        return Curves()
    if not isinstance(logs, Mapping):
        raise TypeError(
            "`history` must be what `model.fit` returns, its dict, or None. "
            f"Received: {type(history).__name__}."
        )
    curves, names = Curves(), sorted(tasks, key=len, reverse=True)
    for key, values in logs.items():
        series = np.asarray(values, "float64").reshape(-1)
        kind = "valid" if key.startswith("val_") else "train"
        curves.epochs = max(curves.epochs, len(series))
        _file(curves, key.removeprefix("val_"), kind, series, names)
    return curves


def _file(
    curves: Curves, key: str, kind: str, series: np.ndarray, names: list[str]
) -> None:
    if key == "loss":
        curves.total[kind] = series
    # Of "a" and "a_b" the longer one has the key "a_b_loss".
    task = next((name for name in names if key.startswith(f"{name}_")), None)
    if task is None:
        return
    metric = key[len(task) + 1 :]
    if metric == _WEIGHT:
        curves.weights[task] = series
    else:
        curves.by_task.setdefault(task, {}).setdefault(metric, {})[kind] = series


def draw_task(
    canvas: Canvas,
    curves: Curves,
    task: str,
    metric: str,
    directions: Mapping[str, str],
) -> Any:
    """Draws loss and metric of a task by epoch; `None` where all is NaN or missing.

    Args:
        canvas: Draws.
        curves: The logs.
        task: The name of the task.
        metric: That of the metric, without that of the task.
        directions: `"max"` or `"min"`, which is better, by name in the logs.
    """
    found = curves.by_task.get(task, {})
    shown = [
        name
        for name in dict.fromkeys(["loss", metric])
        if any(np.isfinite(values).any() for values in found.get(name, {}).values())
    ]
    if not shown:
        return None
    with canvas.styled():
        figure = canvas.figure(344, 136)
        left = [0.115, 0.62]
        for place, name in zip(left, shown, strict=False):
            axes = figure.add_axes((place, 0.17, 0.365, 0.66))
            _draw(axes, found[name])
            arrow = _ARROWS.get(directions.get(f"{task}_{name}", ""), "")
            axes.set_title(f"{name}{arrow}")
        return canvas.svg(figure, _in_words(task, shown, found))


def draw_total(canvas: Canvas, curves: Curves) -> Any:
    """Draws the total loss by epoch; `None` if it was not logged."""
    if not curves.total:
        return None
    with canvas.styled():
        figure = canvas.figure(344, 136)
        axes = figure.add_axes((0.115, 0.17, 0.87, 0.66))
        _draw(axes, curves.total)
        axes.set_title("total loss ↓ better")
        return canvas.svg(
            figure, _in_words("all tasks", ["loss"], {"loss": curves.total})
        )


def _draw(axes: Any, series: Mapping[str, np.ndarray]) -> None:
    train, valid = series.get("train"), series.get("valid")
    for values, options in (
        (train, {"color": MUTED, "linestyle": (0, (3, 2)), "linewidth": 1.3}),
        (valid, {"color": ACCENT, "linewidth": 1.9}),
    ):
        if values is not None:
            marker = "o" if len(values) == 1 else None
            epochs = np.arange(1, len(values) + 1)
            axes.plot(epochs, values, marker=marker, markersize=4, **options)
    axes.xaxis.get_major_locator().set_params(integer=True, nbins=5)
    axes.yaxis.get_major_locator().set_params(nbins=4)
    axes.grid(visible=False, axis="x")
    axes.margins(x=0.03, y=0.08)


def _in_words(task: str, shown: list[str], found: Mapping[str, Any]) -> str:
    words = [
        f"{metric} in {'validation' if kind == 'valid' else 'training'} from "
        f"{values[0]:.4g} to {values[-1]:.4g}"
        for metric in shown
        for kind, values in found[metric].items()
        if len(values)
    ]
    return f"Learning curves of {task}: {'; '.join(words)}."


def draw_weights(canvas: Canvas, weights: Mapping[str, np.ndarray]) -> Any:
    """Draws the weights of the tasks by epoch: names at the lines if they are few."""
    with canvas.styled():
        figure = canvas.figure(420, 200)
        axes = figure.add_axes((0.085, 0.12, 0.665, 0.83))
        few = len(weights) <= 8
        dashes = ["-", (0, (5, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2))]
        for place, values in enumerate(weights.values()):
            axes.plot(
                np.arange(1, len(values) + 1),
                values,
                color=(ACCENT, CONTRAST, INK, MUTED)[place % 4] if few else ACCENT,
                linestyle=dashes[place // 4 % 4] if few else "-",
                alpha=1.0 if few else 0.35,
                marker="o" if len(values) == 1 else None,
            )
        if few:
            _name_lines(axes, weights)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.margins(x=0.01)
        ends = [f"{k} {v[-1]:.3g}" for k, v in [*weights.items()][:12] if len(v)]
        return canvas.svg(figure, f"Weights by epoch; at the end {', '.join(ends)}.")


def _name_lines(axes: Any, weights: Mapping[str, np.ndarray]) -> None:
    """Writes names at the ends of lines, moved apart where those meet."""
    low, high = axes.get_ylim()
    gap, at = (high - low) / 14, -np.inf
    ends = {
        k: v[np.isfinite(v)][-1] for k, v in weights.items() if np.isfinite(v).any()
    }
    for task, value in sorted(ends.items(), key=lambda item: item[1]):
        at = max(value, at + gap)
        axes.annotate(
            short(task, 16),
            (1.01, at),
            xycoords=("axes fraction", "data"),
            va="center",
            annotation_clip=False,
        )
