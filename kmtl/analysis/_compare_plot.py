"""A picture of gains with their intervals."""

from typing import Any

import numpy as np
import pandas as pd

from kmtl._checks import import_extra

_INCHES_A_TASK = 0.45
_MOST_TASKS = 40  # with more, lines touch
_MARKERS = "os"


def plot_gains(gains: pd.DataFrame, delta_m: pd.DataFrame) -> Any:
    """Draws a line a task, the largest gain at the top, and one for their mean.

    Args:
        gains: See `Comparison.gains`.
        delta_m: See `Comparison.delta_m`.

    Returns:
        The figure.
    """
    first = gains.loc[delta_m.index[0]]
    tasks = first.sort_values("gain").index
    step = _INCHES_A_TASK * min(1.0, _MOST_TASKS / len(tasks))
    size = (7.0, 1.6 + step * (len(tasks) + 1))
    figure = import_extra("matplotlib.figure", "plot").Figure(
        figsize=size, layout="constrained"
    )
    axes = figure.subplots()
    axes.axvline(0.0, color="grey", linewidth=0.8)
    axes.axhline(0.5, color="lightgrey", linewidth=0.8)
    places = np.arange(len(tasks) + 1)
    shifts = 0.12 * np.array([1, -1]) if len(delta_m) > 1 else [0.0]
    for baseline, shift, marker in zip(delta_m.index, shifts, _MARKERS, strict=False):
        mean = delta_m.loc[[baseline]].rename(columns={"delta_m": "gain"})
        rows = pd.concat([mean, gains.loc[baseline].loc[tasks]])
        widths = np.stack([rows["gain"] - rows["low"], rows["high"] - rows["gain"]])
        axes.errorbar(
            rows["gain"],
            places + shift,
            xerr=np.nan_to_num(widths.astype("float64")),
            fmt=marker,
            capsize=3,
            label=f"against single-task models of {baseline}",
        )
    names = [f"{task} ({first.loc[task, 'kind']})" for task in tasks]
    axes.set_yticks(places, ["delta_m (mean, %)", *names])
    axes.set_ylim(-0.5, len(tasks) + 0.5)
    axes.set_xlabel("gain by sharing: above 0 it helps")
    figure.legend(loc="outside upper center")
    return figure
