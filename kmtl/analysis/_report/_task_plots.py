"""What a model gets right and wrong, a picture a task."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kmtl.analysis._report._canvas import ACCENT, CONTRAST, MUTED, Canvas
from kmtl.analysis._report._heat import draw_heat, pixels
from kmtl.analysis._report._words import MINUS
from kmtl.tasks import BinaryTask, MulticlassTask, Task, class_values

# With more classes the rarest are drawn as one.
_MOST_CLASSES = 30
_BINS, _CELLS = 10, 44


@dataclass(frozen=True)
class TaskPlot:
    """A picture of a task and what to know about it.

    Attributes:
        svg: The picture.
        caption: How to read it, and what was left out.
        error: How far probabilities are from the truth (expected calibration error),
            NaN for tasks without.
        count: How many labels it shows.
    """

    svg: Any
    caption: str
    error: float
    count: int


def draw_task_plot(
    canvas: Canvas, task: Task, labels: np.ndarray, predicted: np.ndarray
) -> TaskPlot | None:
    """Draws calibration, a confusion matrix or errors; `None` with nothing to compare.

    Args:
        canvas: What it is drawn on.
        task: The task.
        labels: Encoded labels, `(rows, ...)`, NaN where missing.
        predicted: What `predict` gives, `(rows, ..., units)`.
    """
    known = np.isfinite(labels)
    if isinstance(task, MulticlassTask):
        known &= np.isfinite(predicted).all(axis=-1)
        predicted = predicted.argmax(axis=-1)
    else:
        predicted = predicted.reshape(labels.shape)
        known &= np.isfinite(predicted)
    if not known.any():
        return None
    labels, predicted = labels[known], predicted[known]
    if isinstance(task, MulticlassTask):
        return _confusion(canvas, task, labels, predicted)
    if isinstance(task, BinaryTask):
        return _calibration(canvas, labels, predicted)
    return _residuals(canvas, getattr(task, "unit", None), labels, predicted)


def calibration_error(labels: np.ndarray, predicted: np.ndarray) -> float:
    """The expected calibration error in ten bins of equal width.

    Reference:
        Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning",
        AAAI 2015.
    """
    counts, shown, seen = _bins(labels, predicted)
    return float(np.nansum(counts * np.abs(shown - seen)) / counts.sum())


def _bins(
    labels: np.ndarray, predicted: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts, mean predictions and shares of positives by bin; NaN in empty ones."""
    place = np.minimum((predicted * _BINS).astype(int), _BINS - 1)
    counts = np.bincount(place, minlength=_BINS)
    with np.errstate(invalid="ignore"):
        shown = np.bincount(place, predicted, _BINS) / counts
        seen = np.bincount(place, labels, _BINS) / counts
    return counts, shown, seen


def _calibration(canvas: Canvas, labels: np.ndarray, predicted: np.ndarray) -> TaskPlot:
    counts, shown, seen = _bins(labels, predicted)
    error = calibration_error(labels, predicted)
    with canvas.styled():
        figure = canvas.figure(344, 176)
        axes = figure.add_axes((0.115, 0.2, 0.36, 0.68))
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 2)))
        filled = counts > 0
        # Two standard errors of a share; at least one row wide.
        spread = 2 * np.sqrt(
            np.maximum(seen * (1 - seen), 0.25 / counts.clip(1)) / counts.clip(1)
        )
        low, high = np.clip([seen - spread, seen + spread], 0, 1)
        axes.vlines(shown[filled], low[filled], high[filled], color=ACCENT, alpha=0.4)
        axes.plot(shown[filled], seen[filled], "o-", color=ACCENT, markersize=4)
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="predicted")
        axes.set_title("share of yes")
        _histograms(figure.add_axes((0.62, 0.2, 0.365, 0.68)), labels, predicted)
        alt = f"Calibration: expected error {error:.3f}. " + "; ".join(
            f"predicted {p:.2f}, seen {s:.2f} in {n} rows"
            for p, s, n in zip(shown[filled], seen[filled], counts[filled], strict=True)
        )
        svg = canvas.svg(figure, alt)
    caption = (
        "Left: on the dashed line, of the rows that are predicted 30 % indeed 30 % are "
        "yes; bars are two standard errors. Right: predictions where the label is no "
        f"(blue) and yes (orange). Calibration error {error:.3f}."
    )
    return TaskPlot(svg, caption, error, len(labels))


def _histograms(axes: Any, labels: np.ndarray, predicted: np.ndarray) -> None:
    edges = np.linspace(0, 1, 21)
    for value, colour in ((0, ACCENT), (1, CONTRAST)):
        group = predicted[labels == value]
        share = np.histogram(group, edges)[0] / max(1, len(group))
        axes.stairs(share, edges, fill=True, color=(colour, 0.35))
        axes.stairs(share, edges, color=colour, linewidth=1.4)
    axes.set(xlim=(0, 1), xlabel="predicted", yticks=[])
    axes.set_title("no and yes apart?")


def _confusion(
    canvas: Canvas, task: MulticlassTask, labels: np.ndarray, chosen: np.ndarray
) -> TaskPlot:
    names = [str(value) for value in class_values(task)]
    matrix = np.zeros((len(names), len(names)))
    np.add.at(matrix, (labels.astype(int).ravel(), chosen.ravel()), 1)
    caption = "Rows are true classes, columns predicted ones; each row sums to 1."
    if len(names) > _MOST_CLASSES:
        matrix, names, pooled = _pooled(matrix, names)
        caption += f" The {pooled} rarest classes are one row and column."
    empty = int((matrix.sum(axis=1) == 0).sum())
    if empty:
        caption += f" Without a label here: {empty} of {len(names)} classes."
    with np.errstate(invalid="ignore"):
        shares = matrix / matrix.sum(axis=1, keepdims=True)
    hits = [
        f"{name} {share:.2f}"
        for name, share in zip(names, np.diag(shares), strict=True)
    ]
    frame = pd.DataFrame(shares, names, names)
    svg = draw_heat(
        canvas, frame, f"Share found of each class: {', '.join(hits)}.", largest=1.0,
        rows="true", columns="predicted",
    )  # fmt: skip
    return TaskPlot(svg, caption, float("nan"), int(matrix.sum()))


def _pooled(matrix: np.ndarray, names: list[str]) -> tuple[np.ndarray, list[str], int]:
    order = np.argsort(-matrix.sum(axis=1), kind="stable")
    kept = np.sort(order[: _MOST_CLASSES - 1])
    group = np.full(len(names), len(kept))
    group[kept] = np.arange(len(kept))
    small = np.zeros((len(kept) + 1,) * 2)
    np.add.at(small, (group[:, None], group[None, :]), matrix)
    pooled = len(names) - len(kept)
    return small, [*(names[i] for i in kept), f"{pooled} others"], pooled


def _residuals(
    canvas: Canvas, unit: str | None, labels: np.ndarray, predicted: np.ndarray
) -> TaskPlot:
    unit = unit or "unit of the label"
    errors = predicted - labels
    low, high = np.quantile(np.concatenate([labels, predicted]), [0.002, 0.998])
    high = high if high > low else low + 1.0
    outside = int(
        (
            (labels < low) | (labels > high) | (predicted < low) | (predicted > high)
        ).sum()
    )
    with canvas.styled():
        figure = canvas.figure(344, 176)
        axes = figure.add_axes((0.125, 0.2, 0.36, 0.68))
        edges = np.linspace(low, high, _CELLS + 1)
        density = np.histogram2d(predicted, labels, [edges, edges])[0]
        share = np.sqrt(density / max(1.0, density.max()))
        extent = (low, high, low, high)
        axes.imshow(
            pixels(share),
            origin="lower",
            extent=extent,
            aspect="auto",
            interpolation="nearest",
        )
        axes.plot(
            [low, high], [low, high], color=MUTED, linewidth=1, linestyle=(0, (3, 2))
        )
        axes.set_xlabel(f"true, {unit}")
        axes.set_title("predicted")
        _error_histogram(figure.add_axes((0.62, 0.2, 0.365, 0.68)), errors)
        middle, spread = float(np.median(errors)), float(np.median(np.abs(errors)))
        alt = (
            f"Predicted against true values; median error {middle:.3g}, median size of "
            f"an error {spread:.3g}."
        )
        svg = canvas.svg(figure, alt)
    caption = (
        "Left: on the dashed line predictions are right. Right: errors, in "
        f"{unit}: the median is {middle:.3g}, that of their sizes {spread:.3g}."
    )
    if outside:
        caption += (
            f" {outside:,} of {len(labels):,} rows lie outside of the left picture."
        )
    return TaskPlot(svg, caption, float("nan"), len(labels))


def _error_histogram(axes: Any, errors: np.ndarray) -> None:
    low, high = np.quantile(errors, [0.005, 0.995])
    high = high if high > low else low + 1.0
    counts, edges = np.histogram(errors, 30, (low, high))
    axes.stairs(counts, edges, fill=True, color=(ACCENT, 0.35))
    axes.stairs(counts, edges, color=ACCENT, linewidth=1.4)
    axes.axvline(0, color=MUTED, linewidth=1, linestyle=(0, (3, 2)))
    axes.xaxis.get_major_locator().set_params(nbins=4)
    axes.set(yticks=[], xlabel=f"predicted {MINUS} true")
    axes.set_title("errors")
