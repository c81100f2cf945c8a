"""Gains by sharing as a picture and as rows of a table."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kmtl.analysis._comparison import Comparison
from kmtl.analysis._report._canvas import ACCENT, CONTRAST, MUTED, Canvas
from kmtl.analysis._report._words import short
from kmtl.analysis._runs import MULTI_TASK

_ROW, _MOST_ROWS = 26.0, 40
_LONGEST = 18


@dataclass(frozen=True)
class Gain:
    """How much better a task is by sharing than one baseline; in points or percent."""

    baseline: str
    mean: float
    low: float
    high: float
    kind: str


@dataclass(frozen=True)
class Compared:
    """A row of the table: a task, its metric by model as mean and deviation, gains."""

    task: str
    metric: str
    values: dict[str, tuple[float, float]]
    gains: tuple[Gain, ...]
    verdict: str


def compared_tasks(comparison: Comparison) -> list[Compared]:
    """Returns a row a task, in the order of the comparison."""
    table = comparison.table
    models = [MULTI_TASK, *comparison.baselines]
    return [
        Compared(
            str(task),
            str(row["metric"]),
            {m: (float(row[m]), float(row[f"{m} sd"])) for m in models},
            tuple(_gains(comparison, str(task))),
            str(row["verdict"]),
        )
        for task, row in table.iterrows()
    ]


def _gains(comparison: Comparison, task: str) -> Iterator[Gain]:
    for baseline, row in comparison.gains.xs(task, level="task").iterrows():
        mean, low, high = map(float, row[["gain", "low", "high"]])
        yield Gain(str(baseline), mean, low, high, str(row["kind"]))


def mean_gains(comparison: Comparison) -> list[Gain]:
    """Returns the mean gain over tasks, `delta_m`, by baseline."""
    means = comparison.delta_m.to_dict("index").items()
    return [Gain(str(k), v["delta_m"], v["low"], v["high"], "%") for k, v in means]


def draw_gains(canvas: Canvas, comparison: Comparison) -> Any:
    """Draws gains with their intervals: a line a task, the mean of all below."""
    gains = comparison.gains
    first = gains["gain"].xs(comparison.baselines[0], level="baseline")
    tasks = list(first.sort_values().index)
    row = _ROW * min(1.0, _MOST_ROWS / len(tasks))
    height = row * (len(tasks) + 1) + 48
    with canvas.styled():
        figure = canvas.figure(440, height)
        axes = figure.add_axes((0.27, 40 / height, 0.72, 1 - 48 / height))
        axes.axvline(0, color=MUTED, linewidth=1)
        axes.axhline(0.5, color=MUTED, linewidth=0.6)
        for place, baseline in enumerate(comparison.baselines):
            mean = comparison.delta_m.loc[[baseline]].rename(
                columns={"delta_m": "gain"}
            )
            rows = pd.concat([mean, gains.loc[baseline].loc[tasks]])
            _draw_intervals(axes, rows, place)
        names = ["mean (delta_m)", *(short(task, _LONGEST) for task in tasks)]
        if row > 9:
            axes.set_yticks(range(len(names)), names)
        else:
            axes.set_yticks([0], names[:1])
        axes.grid(visible=False, axis="y")
        axes.set_ylim(-0.6, len(tasks) + 0.6)
        axes.set_xlabel("gain by sharing in percent or points; above 0 it helps")
        return canvas.svg(figure, _in_words(comparison))


def _draw_intervals(axes: Any, rows: pd.DataFrame, place: int) -> None:
    at = np.arange(len(rows)) + (0.16, -0.16)[place % 2]
    colour = (ACCENT, CONTRAST)[place % 2]
    axes.hlines(at, rows["low"], rows["high"], color=colour, linewidth=1.6)
    marker = "os"[place % 2]
    axes.plot(rows["gain"], at, marker, color=colour, markersize=5)


def _in_words(comparison: Comparison) -> str:
    verdicts = ", ".join(f"{k}: {v}" for k, v in comparison.verdicts.items())
    return f"Gains by sharing. Verdicts: {verdicts}."
