"""Matrices as pictures: numbers where they can be read, else colours alone."""

from typing import Any

import numpy as np
import pandas as pd

from kmtl.analysis._report._canvas import (
    ACCENT,
    ACCENT_PIXEL,
    CONTRAST,
    CONTRAST_PIXEL,
    INK,
    MUTED,
    Canvas,
)
from kmtl.analysis._report._words import DASH, short

_MOST_NUMBERS, _MOST_NAMES = 12, 45
_LETTER = 5.6
_LONGEST = 18
_CORNERS = np.array([[-0.48, 0.48, 0.48, -0.48], [-0.48, -0.48, 0.48, 0.48]])


def draw_heat(
    canvas: Canvas,
    frame: pd.DataFrame,
    alt: str,
    *,
    largest: float | None = None,
    digits: int = 2,
    is_bad: bool = False,
    rows: str = "",
    columns: str = "",
) -> Any:
    """Draws a matrix; blue above 0, orange below, nothing where it is not known.

    Args:
        canvas: What it is drawn on.
        frame: Numbers with names of rows and columns.
        alt: What it shows, in words.
        largest: The number with the full colour; that of the matrix by default.
        digits: Digits behind the point of a number.
        is_bad: Whether large numbers are bad: then they are orange.
        rows: What the rows are.
        columns: What the columns are.
    """
    values = frame.to_numpy("float64")
    known = np.abs(values[np.isfinite(values)])
    largest = largest or float(np.max(known, initial=0.0)) or 1.0
    few = max(values.shape) <= _MOST_NUMBERS
    side = 34 if few else float(np.clip(660 / values.shape[1], 4, 16))
    left, top = _margins(frame) if max(values.shape) <= _MOST_NAMES else (24, 24)
    width, height = left + side * values.shape[1] + 8, top + side * values.shape[0] + 8
    height, left = height + (18 if columns else 0), left + (16 if rows else 0)
    width = max(width + (16 if rows else 0), 120)
    with canvas.styled():
        figure = canvas.figure(width, height)
        size = (side * values.shape[1] / width, side * values.shape[0] / height)
        axes = figure.add_axes((left / width, 8 / height, *size))
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.set_xlim(-0.5, values.shape[1] - 0.5)
        axes.set_ylim(values.shape[0] - 0.5, -0.5)
        shares = values / (-largest if is_bad else largest)
        if few:
            _draw_cells(axes, shares, values, digits)
        else:
            axes.imshow(pixels(shares), interpolation="nearest", aspect="auto")
        _name(axes, frame)
        axes.set_ylabel(rows)
        axes.set_xlabel(columns)
        return canvas.svg(figure, alt)


def _margins(frame: pd.DataFrame) -> tuple[float, float]:
    def longest(names: Any) -> int:
        return max(min(len(str(name)), _LONGEST) for name in names)

    return 12 + _LETTER * longest(frame.index), 14 + _LETTER * longest(frame.columns)


def _name(axes: Any, frame: pd.DataFrame) -> None:
    axes.xaxis.set_ticks_position("top")
    axes.xaxis.set_label_position("top")
    if max(frame.shape) > _MOST_NAMES:  # the numbers of rows and columns
        return
    size = 10.5 if max(frame.shape) <= _MOST_NUMBERS else 9
    options = {"fontsize": size, "color": INK}
    axes.set_xticks(
        range(frame.shape[1]), _shortened(frame.columns), rotation=90, **options
    )
    axes.set_yticks(range(frame.shape[0]), _shortened(frame.index), **options)


def _shortened(names: Any) -> list[str]:
    return [short(name, _LONGEST) for name in names]


def _draw_cells(axes: Any, shares: np.ndarray, values: np.ndarray, digits: int) -> None:
    middle = {"ha": "center", "va": "center"}
    for (row, column), value in np.ndenumerate(values):
        if not np.isfinite(value):
            axes.text(column, row, DASH, color=MUTED, **middle)
            continue
        share = float(np.clip(shares[row, column], -1.0, 1.0))
        axes.fill(
            column + _CORNERS[0],
            row + _CORNERS[1],
            # Up to where black and white text can be read on it.
            color=(ACCENT if share >= 0 else CONTRAST, 0.05 + 0.5 * abs(share)),
            linewidth=0,
        )
        axes.text(column, row, _rounded(value, digits), fontsize=9.5, **middle)


def _rounded(value: float, digits: int) -> str:
    return f"{round(float(value), digits) + 0.0:.{digits}f}"  # no "-0.00"


def pixels(shares: np.ndarray) -> np.ndarray:
    """Colours of numbers from -1 to 1, `(..., 4)`: only the opacity changes."""
    known = np.nan_to_num(shares)
    colours = np.where(known[..., None] >= 0, ACCENT_PIXEL, CONTRAST_PIXEL)
    opacity = np.clip(np.abs(known), 0.0, 1.0)
    return np.concatenate([colours, opacity[..., None]], axis=-1)
