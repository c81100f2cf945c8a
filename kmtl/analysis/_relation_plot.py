"""A picture of how tasks relate."""

import math
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from kmtl.callbacks._gradient_plot import draw_matrix, new_figure, side_of

_MOST_LAYERS = 5
_COLUMNS = 3
_CHARACTERS_AN_INCH = 13


def plot_relations(
    relation: pd.DataFrame, meaning: str, layers: Mapping[str, pd.DataFrame]
) -> Any:
    """Draws heat maps of a relation and of the layers that it is made of.

    Args:
        relation: Tasks by tasks, from -1 to 1.
        meaning: What it is, in words.
        layers: Frames by name; the first few are drawn.

    Returns:
        The figure.
    """
    shown = list(layers.items())[:_MOST_LAYERS]
    columns = min(1 + len(shown), _COLUMNS)
    rows = math.ceil((1 + len(shown)) / columns)
    side = side_of(len(relation))
    size = (columns * (side + 0.8), rows * (side + 0.5) + 0.5)
    figure = new_figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    draw_matrix(panels[0], relation, "RdBu", (-1.0, 1.0))
    panels[0].set_title("relation of tasks")
    for axes, (name, frame) in zip(panels[1:], shown, strict=False):
        largest = float(np.nanmax(np.abs(frame.to_numpy()), initial=1e-6))
        # Gates and masks are never negative: half of the colours would be empty.
        lowest = -largest if (frame.to_numpy() < 0).any() else 0.0
        colours = "RdBu" if lowest else "Blues"
        draw_matrix(axes, _with_plain_names(frame), colours, (lowest, largest))
        axes.set_aspect("auto" if frame.shape[0] != frame.shape[1] else "equal")
        axes.set_title(name)
    for axes in panels[1 + len(shown) :]:
        axes.set_axis_off()
    width = int(_CHARACTERS_AN_INCH * size[0])
    figure.suptitle("\n".join(textwrap.wrap(meaning, width)), fontsize="medium")
    return figure


def _with_plain_names(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns of two levels, such as those of modulations, become one text each."""
    if frame.columns.nlevels == 1:
        return frame
    return frame.set_axis([" ".join(map(str, name)) for name in frame.columns], axis=1)
