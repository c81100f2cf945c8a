"""How many labels each task has, of which classes, and which are there together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kmtl.analysis._report._parts import Part
from kmtl.tasks import BinaryTask, MulticlassTask, Task, class_values

# More classes than this are one piece of a bar and one line of a list.
_MOST_PIECES = 8


@dataclass(frozen=True)
class Piece:
    """A class, or the rest of them: how many labels, and which share of all."""

    name: str
    count: int
    share: float


@dataclass(frozen=True)
class LabelSummary:
    """The labels of a task.

    Attributes:
        task: The task.
        counts: How many labels there are by name of the part.
        labelled: Which share of the rows has one, likewise.
        pieces: The classes of the first part, the most frequent first.
        rarest: Labels of the rarest class in the first part, `None` for numbers.
        numbers: Minimum, median, mean, maximum and standard deviation by name.
    """

    task: Task
    counts: Mapping[str, int]
    labelled: Mapping[str, float]
    pieces: tuple[Piece, ...]
    rarest: Piece | None
    numbers: Mapping[str, float]


def summarize_labels(
    tasks: Sequence[Task], parts: Sequence[Part]
) -> list[LabelSummary]:
    """Summarises the labels of every task."""
    return [_summarize(task, parts) for task in tasks]


def _summarize(task: Task, parts: Sequence[Part]) -> LabelSummary:
    known = {part.name: np.isfinite(part.labels[task.name]) for part in parts}
    first = parts[0].labels[task.name][known[parts[0].name]]
    pieces = _pieces(task, first)
    return LabelSummary(
        task,
        {name: int(mask.sum()) for name, mask in known.items()},
        {
            name: float(mask.mean()) if mask.size else 0.0
            for name, mask in known.items()
        },
        _few(pieces),
        pieces[-1] if pieces else None,
        {} if pieces or not first.size else _numbers(first),
    )


def _pieces(task: Task, labels: np.ndarray) -> list[Piece]:
    if not isinstance(task, BinaryTask | MulticlassTask):
        return []
    names = [str(value) for value in class_values(task)] or ["no", "yes"]
    counts = np.bincount(labels.astype(int), minlength=len(names))
    whole = max(1, int(counts.sum()))
    order = np.argsort(-counts, kind="stable")
    return [Piece(names[i], int(counts[i]), float(counts[i] / whole)) for i in order]


def _few(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    if len(pieces) <= _MOST_PIECES:
        return tuple(pieces)
    kept, rest = pieces[: _MOST_PIECES - 1], pieces[_MOST_PIECES - 1 :]
    others = Piece(
        f"{len(rest)} others", sum(p.count for p in rest), sum(p.share for p in rest)
    )
    return (*kept, others)


def _numbers(labels: np.ndarray) -> dict[str, float]:
    return {
        "minimum": float(labels.min()),
        "median": float(np.median(labels)),
        "mean": float(labels.mean()),
        "maximum": float(labels.max()),
        "standard deviation": float(labels.std()),
    }


def overlaps(tasks: Sequence[Task], part: Part) -> pd.DataFrame:
    """The share of rows on which both of two tasks are labelled."""
    names = [task.name for task in tasks]
    known = np.stack(
        [np.isfinite(part.labels[n]).reshape(part.rows, -1).any(axis=1) for n in names]
    ).astype("float64")
    return pd.DataFrame(known @ known.T / max(1, part.rows), names, names)
