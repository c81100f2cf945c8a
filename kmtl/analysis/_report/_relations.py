"""How tasks relate: what was measured, and what the model has learned."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kmtl.analysis._comparison import Comparison
from kmtl.analysis._report._canvas import Canvas
from kmtl.analysis._report._heat import draw_heat
from kmtl.analysis._report._parts import Part
from kmtl.analysis._task_affinity import TaskAffinity
from kmtl.analysis._task_relations import task_relations
from kmtl.callbacks import GradientConflict
from kmtl.model import MTLModel


@dataclass(frozen=True)
class Heat:
    """A picture of tasks by tasks, and how to read it."""

    svg: Any
    caption: str


def check_findings(comparison: Any, affinity: Any, conflict: Any) -> None:
    """Raises unless what was measured elsewhere is of the right kind, or `None`."""
    for value, kind, subject, source in (
        (comparison, Comparison, "comparison", "what `kmtl.compare` returns"),
        (affinity, TaskAffinity, "affinity", "what `task_affinity` returns"),
        (conflict, GradientConflict, "conflict", "a `kmtl.callbacks.GradientConflict`"),
    ):
        if value is not None and not isinstance(value, kind):
            raise TypeError(
                f"`{subject}` must be {source}, or None. "
                f"Received: {type(value).__name__}."
            )
    if conflict is not None and not conflict.epochs:
        raise ValueError(
            "`conflict` must have recorded an epoch; pass it to `fit` first: "
            "`model.fit(..., callbacks=[conflict])`. Received: none."
        )


def draw_conflict(canvas: Canvas, conflict: GradientConflict | None) -> list[Heat]:
    """Draws cosines and conflict rates of the last epoch."""
    if conflict is None:
        return []
    epoch = conflict.epochs[-1] + 1
    cosine, rate = _others(conflict.cosine[-1]), _others(conflict.conflict[-1])
    return [
        Heat(
            draw_heat(canvas, cosine, f"Cosines of gradients in epoch {epoch}."),
            f"Cosine of the gradients, epoch {epoch}. Below 0 (orange) the tasks pull "
            "apart.",
        ),
        Heat(
            draw_heat(
                canvas, rate, f"Rates of conflict in epoch {epoch}.", is_bad=True
            ),
            f"Share of steps in which they pull apart, epoch {epoch}. With gradients "
            "almost at right angles that is half of them, and means little.",
        ),
    ]


def draw_affinity(canvas: Canvas, found: TaskAffinity | None) -> list[Heat]:
    """Draws every frame that `task_affinity` measured."""
    if found is None:
        return []
    affinity = _others(found.affinity)
    largest = float(np.nanmax(np.abs(affinity.to_numpy()), initial=0.0))
    power = int(np.floor(np.log10(largest))) if largest > 0 else 0
    affinity = affinity / 10.0**power
    unit = f" In units of 1e{power}." if power else ""
    shown = {
        "A step for the row changes the loss of the column: blue lowers it, orange "
        f"raises it.{unit}": (affinity, None),
        "Cosine of the gradients over shared weights.": (
            _others(found.gradient_cosine),
            None,
        ),
        "How alike the lengths of the gradients are. Condition number "
        f"{found.condition_number:.3g}.": (_others(found.magnitude_similarity), 1.0),
        "Correlation of the labels.": (_others(found.label_correlation), 1.0),
        "Share of rows labelled for both; below 0.4 cosines are unreliable.": (
            found.label_overlap,
            1.0,
        ),
    }
    return [
        Heat(draw_heat(canvas, frame, caption, largest=largest_of), caption)
        for caption, (frame, largest_of) in shown.items()
    ]


def draw_relation(canvas: Canvas, model: MTLModel, part: Part) -> Heat | str:
    """Draws the relation that the weights show, or says why there is none."""
    if len(model.tasks) < 2:
        return "There is one task."
    try:
        found = task_relations(model, part.x)
    except ValueError as error:  # no two tasks can be compared
        return str(error)
    caption = f"{found.meaning[0].upper()}{found.meaning[1:]}."
    svg = draw_heat(canvas, _others(found.relation), caption, largest=1.0)
    return Heat(svg, caption)


def draw_gates(canvas: Canvas, frames: Mapping[str, pd.DataFrame]) -> list[Heat]:
    """Draws gates, stitches and attention, a picture a layer."""
    return [
        Heat(draw_heat(canvas, frame, f"Weights of {name}."), f"Layer {name}.")
        for name, frame in frames.items()
    ]


def _others(frame: pd.DataFrame) -> pd.DataFrame:
    """Without what tasks have to do with themselves, which says nothing."""
    return frame.mask(np.eye(len(frame), dtype=bool))
