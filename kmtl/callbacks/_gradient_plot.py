"""Pictures of how the gradients of tasks agree."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

# With more tasks than this, numbers in cells and names of lines cannot be read.
_MOST_NUMBERS = 8
_MOST_LINES = 10
_MOST_NAMES = 60
_INCHES_A_TASK = 0.22
_LEAST_SIDE, _MOST_SIDE = 3.4, 10.0
_LEAST_COLOURED = 0.1


def plot_gradients(
    by_kind: Mapping[str, Sequence[pd.DataFrame]], weights: pd.DataFrame
) -> Any:
    """Draws the matrices of the last epoch, and means and weights by epoch.

    Args:
        by_kind: Frames of tasks by tasks, one an epoch: `"cosine"`, `"conflict rate"`
            and others.
        weights: The weights of the tasks, a row an epoch; no columns if there are none.

    Returns:
        The figure.
    """
    cosine, conflict = by_kind["cosine"][-1], by_kind["conflict rate"][-1]
    side = side_of(len(cosine))
    figure = new_figure(figsize=(2 * side + 1.5, side + 2.8), layout="constrained")
    has_weights = not weights.empty
    panels = figure.subplot_mosaic(
        [["cosine", "conflict"], ["means", "weights" if has_weights else "means"]],
        height_ratios=[side, 2.2],
    )
    epoch = weights.index[-1] + 1
    # With many tasks cosines are small: the colours end at the largest of a pair.
    largest = max(np.max(np.abs(_of_pairs(cosine)), initial=0.0), _LEAST_COLOURED)
    draw_matrix(panels["cosine"], cosine, "RdBu", (-largest, largest))
    panels["cosine"].set_title(f"cosine of gradients, epoch {epoch}")
    draw_matrix(panels["conflict"], conflict, "Reds", (0.0, 1.0))
    panels["conflict"].set_title(f"conflict rate, epoch {epoch}")
    means = {kind: [*map(_mean_of_pairs, each)] for kind, each in by_kind.items()}
    _draw_lines(panels["means"], pd.DataFrame(means, weights.index))
    panels["means"].set_title("means over pairs of tasks")
    if has_weights:
        _draw_lines(panels["weights"], weights)
        panels["weights"].set_title("weights of the tasks")
    return figure


def side_of(tasks: int) -> float:
    """How many inches a matrix of so many tasks needs."""
    return float(np.clip(_INCHES_A_TASK * tasks, _LEAST_SIDE, _MOST_SIDE))


def new_figure(**options: Any) -> Any:
    """Makes a figure that no window shows.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImportError(
            "A plot needs matplotlib; install it with `pip install 'kmtl[plot]'`."
        ) from error
    return Figure(**options)


def plain(name: object) -> str:
    """Returns a name as text that matplotlib does not read as a formula."""
    return str(name).replace("$", r"\$")


def plot_matrix(frame: pd.DataFrame, title: str) -> Any:
    """Draws one matrix as a heat map with 0 in the middle of its colours.

    Returns:
        The figure.
    """
    side = side_of(max(frame.shape))
    figure = new_figure(figsize=(side + 1.5, side + 0.8), layout="constrained")
    axes = figure.subplots()
    largest = float(np.nanmax(np.abs(frame.to_numpy()), initial=1e-6))
    draw_matrix(axes, frame, "RdBu", (-largest, largest))
    axes.set_title(plain(title))
    return figure


def draw_matrix(
    axes: Any, frame: pd.DataFrame, colours: str, limits: tuple[float, float]
) -> None:
    """Draws a heat map, grey where a value is NaN.

    Args:
        axes: Where it is drawn.
        frame: The values; most often tasks by tasks.
        colours: Name of a colour map.
        limits: The values at its ends.
    """
    values, count = frame.to_numpy(), max(frame.shape)
    axes.set_facecolor("lightgrey")  # shows where a pair was never seen
    image = axes.imshow(values, cmap=colours, vmin=limits[0], vmax=limits[1])
    axes.figure.colorbar(image, ax=axes, shrink=0.8)
    if count <= _MOST_NAMES:
        size = 10 if count <= _MOST_LINES else 7
        columns, rows = ([*map(plain, names)] for names in (frame.columns, frame.index))
        axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=size)
        axes.set_yticks(range(len(rows)), rows, fontsize=size)
    if count > _MOST_NUMBERS:
        return
    form = ".2f" if limits[1] >= _LEAST_COLOURED else ".1e"
    for (row, column), value in np.ndenumerate(values):
        is_dark = abs(value) > 0.6 * limits[1]
        text = "" if np.isnan(value) else f"{value:{form}}"
        where = {"ha": "center", "va": "center"}
        axes.text(column, row, text, color="white" if is_dark else "black", **where)


def _draw_lines(axes: Any, frame: pd.DataFrame) -> None:
    """Draws a line a column; the index counts epochs from 0."""
    is_few = frame.shape[1] <= _MOST_LINES
    for name, values in frame.items():
        axes.plot(
            frame.index + 1,
            values,
            label=plain(name),
            marker="." if is_few else None,
            alpha=1.0 if is_few else 0.5,
        )
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.axhline(0.0, color="grey", linewidth=0.5)
    if is_few:
        axes.legend(fontsize="small")


def _mean_of_pairs(frame: pd.DataFrame) -> float:
    known = _of_pairs(frame)
    return float(known.mean()) if known.size else float("nan")


def _of_pairs(frame: pd.DataFrame) -> np.ndarray:
    """The values of pairs of different tasks that were seen."""
    others = frame.to_numpy()[~np.eye(len(frame), dtype=bool)]
    return others[~np.isnan(others)]
