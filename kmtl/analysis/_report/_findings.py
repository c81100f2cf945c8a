"""What a reader should know first, in sentences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from kmtl.analysis._comparison import (
    DEPENDS,
    DO_NOT,
    NO_DIFFERENCE,
    SHARE,
    Comparison,
)
from kmtl.analysis._report._curves import Curves
from kmtl.analysis._report._data_summary import LabelSummary
from kmtl.analysis._report._results import Result, main_results
from kmtl.analysis._report._task_plots import TaskPlot
from kmtl.analysis._report._words import name_list

# Below these, what is measured or learned of a task is mostly chance.
_FEW_LABELS, _FEW_OF_A_CLASS = 100, 20
_MISCALIBRATED, _ENOUGH_TO_CALIBRATE = 0.05, 500
_ROSE = 0.05  # share by which a loss in validation rose again
_LOUD = 0.8  # share of the gradient
_CONFLICT = -0.05

Level = Literal["warning", "note", "good"]


@dataclass(frozen=True)
class Finding:
    """A sentence, how bad it is, and the section that shows it."""

    level: Level
    text: str
    section: str


def find(
    results: Sequence[Result],
    curves: Curves,
    labels: Sequence[LabelSummary],
    plots: Mapping[str, TaskPlot],
    shares: pd.DataFrame | None,
    comparison: Comparison | None,
) -> list[Finding]:
    """Looks at everything; warnings come first, good news last."""
    found = [
        *_of_comparison(comparison),
        *_of_results(results),
        *_of_labels(labels),
        *_of_plots(plots),
        *_of_shares(shares),
        *_of_curves(curves),
    ]
    order = ["warning", "note", "good"]
    return sorted(found, key=lambda finding: order.index(finding.level))


def _one(
    names: Sequence[str], level: Level, section: str, text: str
) -> Iterator[Finding]:
    """One finding about all the tasks that it is true of, if there are any."""
    if names:
        yield Finding(level, f"{text}: {name_list(names)}.", section)


def _of_comparison(comparison: Comparison | None) -> Iterator[Finding]:
    verdicts = {} if comparison is None else comparison.verdicts
    harmed = [task for task, verdict in verdicts.items() if verdict == DO_NOT]
    helped = [task for task, verdict in verdicts.items() if verdict == SHARE]
    same = [task for task, verdict in verdicts.items() if verdict == NO_DIFFERENCE]
    depends = [task for task, verdict in verdicts.items() if verdict == DEPENDS]
    yield from _one(harmed, "warning", "results", "Sharing harms")
    yield from _one(
        depends,
        "warning",
        "results",
        "Better than single-task networks of one size, worse than those of the other",
    )
    yield from _one(same, "note", "results", "Sharing makes no clear difference")
    yield from _one(helped, "good", "results", "Sharing helps")


def _of_results(results: Sequence[Result]) -> Iterator[Finding]:
    main = main_results(results)
    compared = [r for r in main if not np.isnan(r.baseline)]
    others = [r for r in main if np.isnan(r.baseline) and not np.isnan(r.constant)]
    unknown = [r.task.name for r in main if np.isnan(r.test)]
    useless = [r.task.name for r in others if r.gain <= 0]
    worse = [r.task.name for r in compared if r.gain < 0]
    better = [r.task.name for r in compared if r.gain > 0]
    yield from _one(unknown, "warning", "results", "No result, for want of labels")
    yield from _one(
        useless, "warning", "results", "No better than the same answer for every row"
    )
    yield from _one(worse, "warning", "results", "Worse than the baseline")
    yield from _one(better, "good", "results", "Better than the baseline")


def _of_labels(labels: Sequence[LabelSummary]) -> Iterator[Finding]:
    first = {s.task.name: next(iter(s.counts.values())) for s in labels}
    none = [name for name, count in first.items() if not count]
    few = [f"{k} ({n:,})" for k, n in first.items() if 0 < n < _FEW_LABELS]
    rare = [
        f"{s.task.name} ({s.rarest.name}: {s.rarest.count})"
        for s in labels
        if s.rarest and s.rarest.count < _FEW_OF_A_CLASS and first[s.task.name]
    ]
    yield from _one(none, "warning", "data", "No labels at all")
    yield from _one(few, "warning", "data", f"Fewer than {_FEW_LABELS} labels")
    yield from _one(
        rare, "note", "data", f"A class with fewer than {_FEW_OF_A_CLASS} labels"
    )


def _of_plots(plots: Mapping[str, TaskPlot]) -> Iterator[Finding]:
    off = [
        f"{name} ({plot.error:.2f})"
        for name, plot in plots.items()
        if plot.error > _MISCALIBRATED and plot.count >= _ENOUGH_TO_CALIBRATE
    ]
    yield from _one(
        off, "warning", "tasks", "Probabilities are off (calibration error)"
    )


def _of_shares(shares: pd.DataFrame | None) -> Iterator[Finding]:
    if shares is None or len(shares) < 2:
        return
    against = list(shares.index[shares["gradient_cosine"] < _CONFLICT])
    loud = list(shares.index[shares["gradient_share"] > _LOUD])
    yield from _one(
        against, "warning", "balance", "Gradient conflict, the common step hurts"
    )
    yield from _one(
        loud, "note", "balance", f"Has more than {_LOUD:.0%} of the gradient"
    )


def _of_curves(curves: Curves) -> Iterator[Finding]:
    rose, still = [], []
    for task, series in curves.by_task.items():
        losses = series.get("loss", {}).get("valid", np.zeros(0))
        best = curves.best_epoch(task)
        if best is None or len(losses) < 2:
            continue
        if best == len(losses):
            still.append(task)
        elif losses[-1] > (1 + _ROSE) * np.nanmin(losses):
            rose.append(f"{task} (best in epoch {best})")
    yield from _one(rose, "note", "tasks", "Validation loss has risen again")
    yield from _one(still, "note", "tasks", "Still improving in the last epoch")
