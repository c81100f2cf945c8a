"""Tasks of unequal size: how often each is drawn."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from kmtl._checks import (
    check_choice,
    check_count,
    check_flag,
    check_known_keys,
    check_mapping,
    check_positive,
    check_positive_integer,
    is_number,
)
from kmtl._typing import ByTask
from kmtl.data._schedule import ENDLESS, Schedule
from kmtl.data._shares import STRATEGIES, Strategy
from kmtl.data._source import Source
from kmtl.data._task_rows import RowsInMemory, check_same_form, read_rows
from kmtl.data._task_sampler import TaskSampler
from kmtl.data._task_sources import RowsInSources, read_source
from kmtl.data._task_streams import RowsInDatasets, check_same_specs, read_stream


def sample_tasks(  # noqa: PLR0913 - one keyword a choice
    data: ByTask,
    strategy: Strategy = "proportional",
    *,
    batch_size: int = 32,
    mixed: bool = True,
    temperature: float | None = None,
    anneal_epochs: int | None = None,
    starts: Mapping[str, int] | None = None,
    max_repeats: float | None = None,
    steps: int | None = None,
    seed: int = 0,
) -> TaskSampler:
    """Draws batches from one data set a task, in shares that are exact.

    With n rows a task is drawn in proportion to `n ** power`:

    | `strategy` | power |
    |---|---|
    | `"proportional"` | 1: every row once an epoch |
    | `"sqrt"` | 1/2 |
    | `"temperature"` | 1 / temperature |
    | `"uniform"` | 0: all tasks alike |
    | `"annealed"` | from 1 in the first epoch down to 1 / temperature |

    An epoch draws whole numbers of rows of each task, by largest remainders, at least
    one of each, spread evenly over the epoch. A task is gone through without
    replacement, shuffled anew for each pass; passes go on over epochs. All follows from
    `seed`, the epoch and the step: a run that starts at `initial_epoch` goes on like
    one that was never interrupted.

    Args:
        data: By task name: a DataFrame with the label column of the task, `(x, y)`,
            `(x, y, sample_weight)`, a `tf.data.Dataset` of rows or batches of these, or
            what `read_parquet` and its like return, with the label column of the task;
            one kind for all tasks. Datasets are read in their own order, files in that
            of a `Source`, and kept in memory where they fit into its `buffer_rows`.
            Both are counted by reading them once, unless they say how many rows they
            have. Labels of other tasks are missing.
        strategy: See above.
        batch_size: Rows a batch.
        mixed: Whether batches hold rows of several tasks. Else each holds rows of one,
            as in MT-DNN, and sizes and shares are counted in batches; the last batch
            of a pass may be smaller.
        temperature: The higher, the more alike the shares; 5 by default for
            `"annealed"`.
        anneal_epochs: The epochs that `"annealed"` takes; it stays where it ends.
        starts: The first epoch of a task, 0 for those left out: `{"small": 3}` trains
            on the large tasks for three epochs, then on the mixture.
        max_repeats: How often the rows of a task are seen in an epoch at most, on
            average over the epochs; the rest of its share goes to the others.
        steps: Batches an epoch; by default as many as hold the rows of all tasks.
        seed: Of all that is drawn.

    Returns:
        What `MTLModel.fit` takes as `x`. Its `table()` tells how often each task is
        seen.

    Raises:
        TypeError: If `data` is of no such form.
        ValueError: If a task has no rows, the inputs of tasks differ, or a setting is
            wrong or leaves no choice.

    Example:
        >>> import kmtl, numpy as np
        >>> def rows(n):
        ...     return np.zeros((n, 2)), np.arange(n) % 2
        >>> data = {"large": rows(900), "small": rows(100)}
        >>> sampler = kmtl.data.sample_tasks(data, "sqrt", batch_size=100)
        >>> print(sampler.table().reset_index().to_string(index=False))
         task  size  probability  rows   passes
        large   900         0.75   750 0.833333
        small   100         0.25   250 2.500000
        >>> tasks = [kmtl.BinaryTask("large"), kmtl.BinaryTask("small")]
        >>> history = kmtl.build_mtl_model((2,), tasks).fit(sampler, verbose=0)

    References:
        - Liu et al., MT-DNN, 2019, https://arxiv.org/abs/1901.11504 (one task a batch)
        - Arivazhagan et al., Massively Multilingual Neural Machine Translation in the
          Wild, 2019, https://arxiv.org/abs/1907.05019 (temperature)
        - Stickland & Murray, BERT and PALs, 2019, https://arxiv.org/abs/1902.02671
          (annealed; theirs ends at 0.2)
        - Chung et al., UniMax, 2023, https://arxiv.org/abs/2304.09151 (`max_repeats`
          with `"uniform"`; theirs counts all epochs)
        - Choi et al., Order Matters in the Presence of Dataset Imbalance for
          Multilingual Learning, 2023, https://arxiv.org/abs/2312.06134 (`starts`)
    """
    check_positive_integer(batch_size, "batch_size")
    source = _source(data, batch_size)
    starts = {} if starts is None else starts
    _check_flags(mixed, steps, seed)
    _check_starts(starts, source.sizes)
    _check_max_repeats(max_repeats)
    schedule = Schedule(
        sizes=source.sizes,
        units=_units(source.sizes, steps, batch_size, mixed),
        batch_size=batch_size,
        mixed=mixed,
        strategy=strategy,
        temperature=_temperature(strategy, temperature),
        anneal_epochs=_anneal_epochs(strategy, anneal_epochs),
        starts=starts,
        max_repeats=max_repeats,
        seed=seed,
    )
    _check_endless(schedule)
    for epoch in {0, *starts.values()}:
        _check_possible(schedule, epoch)
    return TaskSampler(source, schedule)


def _source(
    data: ByTask, batch_size: int
) -> RowsInMemory | RowsInDatasets | RowsInSources:
    check_mapping(data, "data", "data by task name")
    if not data:
        raise ValueError("`data` must hold the data of a task. Received: {}.")
    if _are_all(data, Source, "tables in files"):
        return RowsInSources([read_source(t, s) for t, s in data.items()])
    if _are_all(data, tf.data.Dataset, "datasets"):
        streams = [read_stream(t, d, batch_size) for t, d in data.items()]
        check_same_specs(streams)
        return RowsInDatasets(streams)
    parts = [read_rows(task, rows) for task, rows in data.items()]
    check_same_form(parts)
    return RowsInMemory(parts)


def _are_all(data: ByTask, kind: type, plural: str) -> bool:
    """Whether the data of all tasks are of a kind, or of none."""
    are_of_kind = {isinstance(rows, kind) for rows in data.values()}
    if len(are_of_kind) > 1:
        kinds = {task: type(rows).__name__ for task, rows in data.items()}
        raise TypeError(
            f"`data` must be {plural} for all tasks or for none. Received: {kinds}."
        )
    return are_of_kind == {True}


def _units(
    sizes: Mapping[str, int], steps: int | None, batch_size: int, mixed: bool
) -> int:
    if steps is not None:
        return steps * batch_size if mixed else steps
    for task, rows in sizes.items():
        if rows == ENDLESS:
            raise ValueError(
                "`steps` must be given where a dataset does not end. Received: an "
                f"endless dataset for task {task!r} and steps=None."
            )
    if mixed:
        return sum(sizes.values())
    return sum(-(-rows // batch_size) for rows in sizes.values())


def _check_flags(mixed: bool, steps: int | None, seed: int) -> None:
    check_flag(mixed, "mixed")
    check_count(seed, "seed")
    if steps is not None:
        check_positive_integer(steps, "steps")


def _temperature(strategy: Strategy, temperature: float | None) -> float | None:
    check_choice(strategy, STRATEGIES, "strategy")
    if strategy not in ("temperature", "annealed"):
        if temperature is not None:
            raise ValueError(
                "`temperature` must come with strategy='temperature' or 'annealed'. "
                f"Received: temperature={temperature!r}, strategy={strategy!r}."
            )
        return None
    if temperature is None and strategy == "annealed":
        return 5.0  # Stickland & Murray 2019: the power ends at 0.2
    check_positive(temperature, "temperature")
    return temperature


def _anneal_epochs(strategy: Strategy, epochs: int | None) -> int | None:
    if strategy == "annealed":
        check_positive_integer(epochs, "anneal_epochs")
    elif epochs is not None:
        raise ValueError(
            "`anneal_epochs` must come with strategy='annealed'. Received: "
            f"anneal_epochs={epochs!r}, strategy={strategy!r}."
        )
    return epochs


def _check_starts(starts: Mapping[str, int], sizes: Mapping[str, int]) -> None:
    check_mapping(starts, "starts", "first epochs by task name")
    check_known_keys(starts, sizes, "starts")
    for task, epoch in starts.items():
        check_count(epoch, f"starts[{task!r}]")
    if all(starts.get(task, 0) > 0 for task in sizes):
        raise ValueError(
            "`starts` must leave a task for the first epoch, 0. Received: "
            f"{dict(starts)}."
        )


def _check_max_repeats(max_repeats: float | None) -> None:
    if max_repeats is not None and not (is_number(max_repeats) and max_repeats >= 1):
        raise ValueError(
            f"`max_repeats` must be at least 1. Received: {max_repeats!r}."
        )


def _check_endless(schedule: Schedule) -> None:
    for task, rows in schedule.sizes.items():
        if rows == ENDLESS and schedule.strategy != "uniform":
            raise ValueError(
                "`strategy` must be 'uniform' where a dataset does not end: it has no "
                f"size. Received: {schedule.strategy!r} and an endless dataset for "
                f"task {task!r}."
            )


def _check_possible(schedule: Schedule, epoch: int) -> None:
    """Refuses an epoch too short for its tasks, or too long for `max_repeats`."""
    unit = "rows" if schedule.mixed else "batches"
    active = int(np.count_nonzero(schedule.active(epoch)))
    if schedule.units < active:
        raise ValueError(
            f"An epoch must hold at least one of the {unit} of each task, {active}. "
            f"Received: {schedule.units}. Raise `steps`."
        )
    most = schedule.limits()[schedule.active(epoch)].sum()
    if schedule.units > most:
        raise ValueError(
            f"`max_repeats` must allow the {unit} of an epoch, {schedule.units}. "
            f"Received: max_repeats={schedule.max_repeats!r}, which allows {most:.0f} "
            f"in epoch {epoch}. Lower `steps`."
        )
