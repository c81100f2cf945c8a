"""Which rows come when, of tasks whose rows lie in memory one task after the other."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from kmtl.data._schedule import Schedule


@dataclass(frozen=True)
class Draws:
    """The rows of one epoch, batch by batch.

    Attributes:
        rows: Positions of rows, the first task's first, `(rows,)`.
        ends: Where in `rows` each batch starts, and the last ends, `(batches + 1,)`.
    """

    rows: np.ndarray
    ends: np.ndarray


def draws_of(schedule: Schedule, epoch: int) -> Draws:
    """Draws the rows of an epoch."""
    counts, before = schedule.counts(epoch), schedule.drawn_before(epoch)
    offsets = np.cumsum([0, *schedule.sizes.values()])
    order = schedule.order(epoch)
    by_task = [
        [offset + units for units in _units(schedule, task, start, count)]
        for task, offset, start, count in zip(
            schedule.sizes, offsets[:-1], before, counts, strict=True
        )
    ]
    if schedule.mixed:
        rows = np.concatenate([part for parts in by_task for part in parts])[order]
        ends = np.append(np.arange(0, len(rows), schedule.batch_size), len(rows))
        return Draws(rows, ends)
    units = [unit for parts in by_task for unit in parts]
    batches = [units[position] for position in order]
    return Draws(np.concatenate(batches), np.cumsum([0, *map(len, batches)]))


def as_frame(draws: Draws, schedule: Schedule) -> pd.DataFrame:
    """Returns the batch, the task and the row in its data of each row drawn."""
    offsets = np.cumsum([0, *schedule.sizes.values()])
    tasks = np.searchsorted(offsets, draws.rows, side="right") - 1
    batches = np.arange(len(draws.ends) - 1)
    return pd.DataFrame(
        {
            "batch": np.repeat(batches, np.diff(draws.ends)),
            "task": np.array(list(schedule.sizes), dtype=object)[tasks],
            "row": draws.rows - offsets[tasks],
        }
    )


def _units(schedule: Schedule, task: str, start: int, count: int) -> list[np.ndarray]:
    """Returns rows of a task: those of some passes, or an array for each batch."""
    size, step = schedule.sizes[task], schedule.unit_rows
    a_pass = -(-size // step)
    first, last = start // a_pass, -(-(start + count) // a_pass)
    passes = [schedule.shuffled(task, number) for number in range(first, last)]
    skipped = start - first * a_pass
    if schedule.mixed:
        rows = np.concatenate([np.empty(0, dtype="int64"), *passes])
        return [rows[skipped : skipped + count]]
    cuts = range(0, size, step)
    units = [rows[cut : cut + step] for rows in passes for cut in cuts]
    return units[skipped : skipped + count]
