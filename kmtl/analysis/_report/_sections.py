"""What the sections of the page show."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kmtl.analysis._comparison import Comparison
from kmtl.analysis._report._canvas import Canvas
from kmtl.analysis._report._comparison_plot import (
    compared_tasks,
    draw_gains,
    mean_gains,
)
from kmtl.analysis._report._curves import Curves, draw_task, draw_total, draw_weights
from kmtl.analysis._report._data_summary import overlaps, summarize_labels
from kmtl.analysis._report._findings import find
from kmtl.analysis._report._heat import draw_heat
from kmtl.analysis._report._network import Network, count_weights, read_network
from kmtl.analysis._report._network_svg import kind_of, lay_out
from kmtl.analysis._report._parts import Part
from kmtl.analysis._report._relations import (
    draw_affinity,
    draw_conflict,
    draw_gates,
    draw_relation,
)
from kmtl.analysis._report._results import BATCH, Result, main_results
from kmtl.analysis._report._task_plots import TaskPlot, draw_task_plot
from kmtl.analysis._report._words import TIMES
from kmtl.analysis._runs import MULTI_TASK
from kmtl.analysis._task_affinity import TaskAffinity
from kmtl.callbacks import GradientConflict
from kmtl.model import MTLModel

# Rows for what takes a gradient or a gate a row: enough for means of two digits.
_SAMPLE = 1024
_LEAST = 10
_SECTIONS = (
    ("summary", "Summary"),
    ("results", "Results"),
    ("tasks", "Task by task"),
    ("network", "Network"),
    ("balance", "Balance"),
    ("data", "Data"),
)


@dataclass(frozen=True)
class Evidence:
    """All that the page is made of.

    Attributes:
        model: The model.
        curves: What was logged in training.
        parts: The data.
        results: What was measured on the last part.
        comparison: What `kmtl.compare` returned, or `None`.
        affinity: What `task_affinity` returned, or `None`.
        conflict: A callback that recorded, or `None`.
    """

    model: MTLModel
    curves: Curves
    parts: Sequence[Part]
    results: Sequence[Result]
    comparison: Comparison | None
    affinity: TaskAffinity | None
    conflict: GradientConflict | None


def sections(canvas: Canvas, evidence: Evidence) -> dict[str, Any]:
    """Returns what the template fills in."""
    model = evidence.model
    labels = summarize_labels(model.tasks, evidence.parts)
    plots = _task_plots(canvas, model, evidence.parts[-1])
    shares = _shares(model, evidence.parts[0])
    return {
        "sections": _SECTIONS,
        "findings": find(
            evidence.results,
            evidence.curves,
            labels,
            plots,
            shares,
            evidence.comparison,
        ),
        "parts": evidence.parts,
        "kind_of": kind_of,
        "views": _views(canvas, evidence, plots),
        **_compared(canvas, evidence.comparison),
        **_overview(evidence),
        **_data(canvas, evidence, labels),
        **_network(canvas, evidence),
        **_balance(canvas, evidence, shares),
    }


def _compared(canvas: Canvas, comparison: Comparison | None) -> dict[str, Any]:
    if comparison is None:
        return {"compared": None}
    return {
        "compared": compared_tasks(comparison),
        "mean_gains": mean_gains(comparison),
        "gains_plot": draw_gains(canvas, comparison),
        "compared_models": [MULTI_TASK, *comparison.baselines],
        "seeds": comparison.runs["seed"].nunique(),
        "level": comparison.level,
    }


def _overview(evidence: Evidence) -> dict[str, Any]:
    main = main_results(evidence.results)
    ranked = sorted((r for r in main if np.isfinite(r.gain)), key=lambda r: r.gain)
    kinds = Counter(map(kind_of, evidence.model.tasks))
    return {
        "facts": _facts(evidence),
        "kinds": ", ".join(f"{count} {TIMES} {kind}" for kind, count in kinds.items()),
        "results": main,
        "least": ranked[:_LEAST],
        "best": ranked[-1] if ranked else None,
        "worst": ranked[0] if ranked else None,
        "has_baselines": any(np.isfinite(r.baseline) for r in main),
    }


def _facts(evidence: Evidence) -> dict[str, Any]:
    shared, own = count_weights(evidence.model)
    total = shared + sum(own.values())
    return {
        "tasks": len(own),
        "weights": total,
        "shared": shared / max(1, total),
        "own": own,
        "epochs": evidence.curves.epochs,
    }


def _data(canvas: Canvas, evidence: Evidence, labels: Any) -> dict[str, Any]:
    return {
        "labels": labels,
        "overlap": _overlap(canvas, evidence.model, evidence.parts[0]),
        "features": evidence.model.features,
    }


def _network(canvas: Canvas, evidence: Evidence) -> dict[str, Any]:
    model, network = evidence.model, read_network(evidence.model)
    sample = evidence.parts[0].sample(_SAMPLE)
    return {
        "network": lay_out(model, network),
        "network_words": _network_words(model, network),
        "is_coupled": network.is_coupled,
        "has_conditions": any(task.parents for task in model.tasks),
        "gates": draw_gates(canvas, model.sharing_weights(sample.x)),
    }


def _network_words(model: MTLModel, network: Network) -> str:
    words = [
        f"{block.kind} of {max(1, len(block.slices))} with {block.weights:,} weights"
        for block in network.blocks
        if block.kind != "inputs"
    ]
    return f"Inputs; {'; '.join(words)}; heads of {len(model.tasks)} tasks."


def _balance(
    canvas: Canvas, evidence: Evidence, shares: pd.DataFrame | None
) -> dict[str, Any]:
    weights = evidence.curves.weights
    return {
        "shares": shares,
        "share_items": [] if shares is None else list(shares.iterrows()),
        "total_curve": draw_total(canvas, evidence.curves),
        "weights": draw_weights(canvas, weights) if weights else None,
        "conflict_plots": draw_conflict(canvas, evidence.conflict),
        "affinity_plots": draw_affinity(canvas, evidence.affinity),
        "relation": draw_relation(
            canvas, evidence.model, evidence.parts[0].sample(_SAMPLE)
        ),
    }


def _task_plots(canvas: Canvas, model: MTLModel, part: Part) -> dict[str, TaskPlot]:
    predicted = model.predict(part.x, batch_size=BATCH, verbose=0)
    plots = {
        task.name: draw_task_plot(
            canvas, task, part.labels[task.name], predicted[task.name]
        )
        for task in model.tasks
        if task.name in predicted
    }
    return {name: plot for name, plot in plots.items() if plot is not None}


def _shares(model: MTLModel, part: Part) -> pd.DataFrame | None:
    """What each task has of the loss and of the gradient; `None` without a label."""
    part = part.sample(_SAMPLE)
    if not any(np.isfinite(values).any() for values in part.labels.values()):
        return None
    return model.explain_loss(part.x, part.y)


def _views(
    canvas: Canvas, evidence: Evidence, plots: Mapping[str, TaskPlot]
) -> list[dict[str, Any]]:
    """What the page shows of each task."""
    by_task: dict[str, list[Result]] = {}
    curves, directions = evidence.curves, evidence.model.task_metrics.directions
    for result in evidence.results:
        by_task.setdefault(result.task.name, []).append(result)
    return [
        {
            "task": task,
            "results": by_task.get(task.name, []),
            "curve": draw_task(
                canvas, curves, task.name, _first(by_task, task.name), directions
            ),
            "best_epoch": curves.best_epoch(task.name),
            "plot": plots.get(task.name),
        }
        for task in evidence.model.tasks
    ]


def _first(by_task: Mapping[str, list[Result]], task: str) -> str:
    return next((r.metric for r in by_task.get(task, [])), "loss")


def _overlap(canvas: Canvas, model: MTLModel, part: Part) -> Any:
    """Which tasks are labelled together; `None` where nothing is missing."""
    frame = overlaps(model.tasks, part)
    if len(frame) < 2 or frame.to_numpy().min() == 1:
        return None
    others = frame.to_numpy()[~np.eye(len(frame), dtype=bool)]
    span = f"from {others.min():.2f} to {others.max():.2f}"
    alt = f"Share of rows with both labels: {span}."
    return draw_heat(canvas, frame, alt, largest=1.0)
