"""What `kmtl.compare` is given -> what it trains."""

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from kmtl._checks import check_mapping
from kmtl.analysis._baselines import (
    Build,
    Network,
    of_parameters,
    parameters,
    with_default_trunk,
)
from kmtl.analysis._rows import Places, Rows, alone, check_labelled, is_flat
from kmtl.analysis._runs import (
    EQUAL_PARAMETERS,
    EQUAL_WIDTH,
    MULTI_TASK,
    NEED_DIFFERENT,
    Parts,
    Run,
    Study,
    metrics_to_compare,
)
from kmtl.data import resolve_task, split
from kmtl.tasks import Task

TEST, _VALID = 0.2, 0.2  # of all rows; of the rows that are not to test on
_FAR = 0.1  # from the number of weights that the networks should have together


def rows_of(
    tasks: tuple[Task, ...], train: Any, *others: Any
) -> tuple[tuple[Task, ...], Parts]:
    """Returns the tasks with known classes, and the rows that parts are taken from."""
    first = Rows.of(train, tasks, "train")
    if isinstance(train, pd.DataFrame):
        tasks = tuple(resolve_task(task, train) for task in tasks)
    valid, test = (
        first if given is None else Rows.of(given, tasks, subject)
        for subject, given in zip(("valid", "test"), others, strict=True)
    )
    for subject, part in {"valid": valid, "test": test}.items():
        if (part.y is None) != (first.y is None):
            raise TypeError(
                f"`{subject}` must be of the same form as `train`. Received: "
                f"{type(part.x).__name__} and {type(first.x).__name__}."
            )
    return tasks, (first, valid, test)


def networks_of(network: Network, build: Build | None, train: Rows) -> dict[str, Build]:
    """Returns what builds the multi-task model and those of equal width."""
    if build is None:
        network = with_default_trunk(network, train.x)
        return {MULTI_TASK: network, EQUAL_WIDTH: network.single()}
    if not callable(build):
        raise TypeError(
            "`build` must be a function `build(train, tasks, seed)`. "
            f"Received: {build!r}."
        )
    for field in dataclasses.fields(network):
        value = getattr(network, field.name)
        if value is not field.default:
            raise ValueError(
                f"`build` makes the whole model, so `{field.name}` belongs there. "
                f"Received: {field.name}={value!r}."
            )
    return {MULTI_TASK: build, EQUAL_WIDTH: build}


def split_rows(rows: Parts, tasks: Sequence[Task], seed: int) -> list[Places | None]:
    """Deals the training rows to the parts that were not given."""
    train, valid, test = rows
    test_share = TEST if test is train else 0.0
    valid_share = _VALID * (1 - test_share) if valid is train else 0.0
    shares = [1 - valid_share - test_share, valid_share, test_share]
    if shares[0] == 1:
        return [None, None, None]
    labels = train.labels(tasks)
    for name, values in labels.items():
        if not is_flat(values):
            raise ValueError(
                "`valid` and `test` must be given where a task has more than one label "
                f"a row. Received: labels of task {name!r} of shape {values.shape}."
            )
    frame = pd.DataFrame({k: pd.Series(np.ravel(v)) for k, v in labels.items()})
    by_name = [dataclasses.replace(task, label=None) for task in tasks]
    parts = iter(split(frame, by_name, [s for s in shares if s], seed=seed))
    return [next(parts).index.to_numpy() if share else None for share in shares]


def completed(
    study: Study, build_small: Build | None, metrics: Mapping[str, str] | None
) -> tuple[Study, dict[str, bool]]:
    """Adds metrics and small networks; returns also whether higher is better."""
    if metrics is not None:
        check_mapping(metrics, "metrics", "metrics by task name")
    model = study.build(Run(0, MULTI_TASK, None))
    compared, higher, kinds = metrics_to_compare(model, metrics or {})
    study = dataclasses.replace(study, metrics=compared, kinds=kinds)
    _check_labels(study)
    study.build(Run(0, EQUAL_WIDTH, next(iter(compared))))
    small = build_small or _small(study, parameters(model))
    if small is not None:
        networks = {**study.networks, EQUAL_PARAMETERS: small}
        study = dataclasses.replace(study, networks=networks)
    return study, higher


def _check_labels(study: Study) -> None:
    """Raises `ValueError` if a part has too few labels of a task."""
    compared = [task for task in study.tasks if task.name in study.metrics]
    train, valid, test = (rows.counting(study.tasks) for rows in study.rows)
    for places in study.splits:
        for task in compared:
            if task.name not in train:  # more than one label a row
                continue
            need = study.kinds[task.name] in NEED_DIFFERENT
            parts = {"train": train, "valid": valid, "test": test}.items()
            for (part, labels), some in zip(parts, places, strict=True):
                values = labels[task.name][slice(None) if some is None else some]
                check_labelled(task, values, part, differ=need and part == "test")


def _small(study: Study, target: int) -> Build | None:
    """Finds single-task networks that have a number of weights together."""
    single = study.networks[EQUAL_WIDTH]
    if not isinstance(single, Network) or not single.has_width:
        return None
    tasks = {task.name: task for task in study.tasks if task.name in study.metrics}
    network, found = of_parameters(
        single,
        target,
        [alone(task) for task in tasks.values()],
        lambda task: study.of(Run(0, EQUAL_WIDTH, task.name))[1][0].x,
    )
    if abs(found / target - 1) > _FAR:
        warnings.warn(
            "No width of the trunk gives single-task models with as many weights as "
            f"the multi-task model, {target:,}: those nearest have {found:,}, as their "
            "embeddings and heads count too. Give `build_small` for others.",
            stacklevel=4,
        )
    return network
