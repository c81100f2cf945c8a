"""A picture of which tasks help each other."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kmtl.callbacks._gradient_plot import draw_matrix, new_figure, side_of

if TYPE_CHECKING:
    from kmtl.analysis._task_affinity import TaskAffinity

_LEAST_COLOURED = 0.1


def plot_affinity(found: "TaskAffinity") -> Any:
    """Draws heat maps of all that `task_affinity` measured.

    Returns:
        The figure.
    """
    side = side_of(len(found.affinity))
    size = (3 * (side + 1.0), 2 * (side + 0.7))
    figure = new_figure(figsize=size, layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    scaled, exponent = _scaled(_without_diagonal(found.affinity))
    limit = float(np.nanmax(np.abs(scaled.to_numpy()), initial=1.0))
    draw_matrix(panels[0], scaled, "RdBu", (-limit, limit))
    panels[0].set_title(f"affinity, in 1e{exponent}" if exponent else "affinity")
    panels[0].set_ylabel("a step for")
    panels[0].set_xlabel("changes the loss of")
    cosine = _without_diagonal(found.gradient_cosine)
    largest = float(np.nanmax(np.abs(cosine.to_numpy()), initial=_LEAST_COLOURED))
    draw_matrix(panels[1], cosine, "RdBu", (-largest, largest))
    panels[1].set_title("cosine of gradients")
    draw_matrix(panels[2], found.magnitude_similarity, "Blues", (0.0, 1.0))
    panels[2].set_title(
        "similarity of gradient lengths\n"
        f"(condition number {found.condition_number:.3g})"
    )
    draw_matrix(panels[3], found.label_correlation, "RdBu", (-1.0, 1.0))
    panels[3].set_title("correlation of labels")
    draw_matrix(panels[4], found.label_overlap, "Blues", (0.0, 1.0))
    panels[4].set_title("share of rows labelled for both")
    panels[5].set_axis_off()
    return figure


def _without_diagonal(frame: pd.DataFrame) -> pd.DataFrame:
    """What tasks do to themselves is far larger, and of no use to tell groups."""
    return frame.mask(np.eye(len(frame), dtype=bool))


def _scaled(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Values in units of a power of ten, so that two decimals show them."""
    largest = float(np.nanmax(np.abs(frame.to_numpy()), initial=0.0))
    exponent = int(np.floor(np.log10(largest))) if largest > 0 else 0
    return frame / 10.0**exponent, exponent
