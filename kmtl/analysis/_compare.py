"""`kmtl.compare`: is sharing better than separate models?"""

import os
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import pandas as pd

from kmtl._checks import (
    as_path,
    as_tuple,
    check_flag,
    check_positive,
    check_positive_integer,
)
from kmtl._typing import ByTask
from kmtl.analysis._baselines import Build, Network
from kmtl.analysis._comparison import Comparison
from kmtl.analysis._progress import announce, progress_bar
from kmtl.analysis._resume import Log
from kmtl.analysis._runs import Study
from kmtl.analysis._settings import settings_of
from kmtl.analysis._study import TEST, completed, networks_of, rows_of, split_rows
from kmtl.analysis._workers import train_all
from kmtl.balancing import Balancing
from kmtl.features import TabularFeatures
from kmtl.tasks import Task, check_tasks


def compare(  # noqa: PLR0913 - one keyword a choice
    train: Any,
    tasks: Sequence[Task],
    valid: Any = None,
    test: Any = None,
    *,
    trunk: Any = None,
    sharing: Any = None,
    head_units: Sequence[int] = (),
    optimizer: Any = "adam",
    features: TabularFeatures | None = None,
    loss_weights: ByTask | None = None,
    balancing: Balancing | None = None,
    build: Build | None = None,
    build_small: Build | None = None,
    metrics: Mapping[str, str] | None = None,
    seeds: int = 5,
    epochs: int = 50,
    batch_size: int = 256,
    patience: int = 5,
    learning_rates: Sequence[float] = (),
    jobs: int = 1,
    folder: str | os.PathLike[str] | None = None,
    verbose: bool = True,
) -> Comparison:
    """Tells whether one model of all tasks is better than a model for each.

    Trains the multi-task model and two kinds of single-task models, for whether sharing
    helps depends on how large they may be: in those of `"equal width"` the trunk is
    that of the multi-task model, so that together they are larger; in those of
    `"equal parameters"` it is narrower (heads and embeddings stay), so that together
    they have as many trained weights as the multi-task model. Single-task models are
    the trunk, then the head, whatever the sharing. For one task of weight 1 and hard
    sharing all are the same model.

    Weights of losses are for the multi-task model only, those of `Task.loss_weight`
    too: a single-task model trains with weight 1.

    Models of one seed train on the same rows in the same batches, a row without a label
    of a task included, up to the epoch of the best validation loss, whose weights are
    kept, and are then tested once. Conditions between tasks are left out of single-task
    models; a `ProductTask` is a plain binary task there. Auxiliary tasks are trained,
    not compared.

    Args:
        train: The training rows: a frame with label columns, or `(x, y)` with an array
            or a dict of arrays and labels by task name.
        tasks: The tasks.
        valid: Rows to choose the epoch by, of the same form. By default each seed
            splits off a fifth of the training rows with `kmtl.data.split`.
        test: Rows to test on. By default each seed splits off another fifth of all
            rows: gains are then over splits too. Give it where rows belong together,
            such as visits of a patient.
        trunk: What the tasks share, see `kmtl.build_mtl_model`; as for those up to
            `balancing`, of which the last two are for the multi-task model only.
        sharing: How they share it.
        head_units: Widths of the hidden layers of heads.
        optimizer: A Keras optimizer or its name; each model has one of its own.
        features: Which columns are features; by default found in the training rows.
        loss_weights: Weights of the losses.
        balancing: How tasks are weighed in each step.
        build: Makes a model instead, `build(train, tasks, seed)`: of all tasks, and of
            each alone. `train` is the frame without the labels of other tasks, or `x`.
        build_small: Makes the single-task models of equal parameters, in the same way.
            Without it there are none for `build`, nor for a trunk that is neither
            `kmtl.trunks.MLP` nor `CNN`.
        metrics: The metric to compare, by task name; the first of the task by default.
        seeds: How many seeds. Five or more give useful intervals, one gives none.
        epochs: The most epochs of a training.
        batch_size: Rows of a batch.
        patience: After how many epochs without a better validation loss it ends.
        learning_rates: Learning rates to choose from by validation loss, for each model
            and seed; by default that of the optimizer.
        jobs: In how many processes to train; -1 for one a core. In a script, call
            `compare` under `if __name__ == "__main__":` then; functions of a notebook
            must be moved to a module.
        folder: Where to keep what is finished. The same call goes on from there after
            an interruption, and with more seeds adds those; a call with other settings
            or rows is refused. Layers that have weights count with them. Of functions
            (`build`, losses, metrics) their code, defaults and what they enclose count,
            of objects of your own their config or `repr`. What they read or call
            elsewhere, such as a constant of the module or code of your own layer, is
            not seen, nor are other versions of Keras: use another folder after changing
            that.
        verbose: Whether to say how long it may take, and to show progress.

    Returns:
        The `Comparison`: gains, verdicts, tables and a picture.

    Raises:
        TypeError: If an argument is of a kind that is not supported.
        ValueError: If an argument is out of its range, a task has no labels in some
            rows, a metric is not there, or `folder` holds another comparison.

    Reference:
        Both baselines: the capacity of the single-task models decides the sign of the
        gain, see Royer et al., "Scalarization for Multi-Task and Multi-Domain Learning
        at Scale", NeurIPS 2023, https://arxiv.org/abs/2310.08910.

    Example:
        >>> import keras, kmtl, numpy as np
        >>> x = np.random.default_rng(0).normal(size=(60, 2))
        >>> y = {"a": x[:, 0], "b": x[:, 0] > x[:, 1]}
        >>> found = kmtl.compare(
        ...     (x, y),
        ...     [kmtl.RegressionTask("a"), kmtl.BinaryTask("b")],
        ...     trunk=keras.layers.Dense(8, activation="relu"),
        ...     seeds=1,
        ...     epochs=1,
        ...     verbose=False,
        ... )
        >>> found.baselines, found.metrics, found.verdicts["a"]
        (['equal width'], {'a': 'mae', 'b': 'auc'}, 'unknown')
    """
    settings = {"epochs": epochs, "batch_size": batch_size, "patience": patience}
    for subject, value in {"seeds": seeds, **settings}.items():
        check_positive_integer(value, subject)
    rates = as_tuple(learning_rates, "learning_rates")
    for rate in rates:
        check_positive(rate, "learning_rates[...]")
    check_flag(verbose, "verbose")
    jobs = _processes(jobs)
    network = Network(
        trunk, sharing, head_units, optimizer, features, loss_weights, balancing
    )
    tasks, rows = rows_of(check_tasks(tasks), train, valid, test)
    study = Study(
        tasks=tasks,
        networks=networks_of(network, build, rows[0]),
        rows=rows,
        splits=[split_rows(rows, tasks, seed) for seed in range(seeds)],
        metrics={},
        fit={"epochs": epochs, "batch_size": batch_size},
        patience=patience,
        rates=rates,
    )
    study, higher = completed(study, build_small, metrics)
    if folder is None:
        log = Log(None, {})
    else:
        log = Log(as_path(folder, "folder"), settings_of(study))
    _train(study, log, jobs, verbose=verbose)
    return Comparison(
        runs=_frame(study, log),
        metrics=study.metrics,
        higher=higher,
        kinds=study.kinds,
        overlap=TEST / (1 - TEST) if test is None else 0.0,
    )


def _processes(jobs: int) -> int:
    if jobs == -1:
        return os.cpu_count() or 1
    if isinstance(jobs, bool) or not isinstance(jobs, Integral) or jobs < 1:
        raise ValueError(
            "`jobs` must be a number of processes, or -1 for one a core. "
            f"Received: {jobs!r}."
        )
    return int(jobs)


def _train(study: Study, log: Log, jobs: int, *, verbose: bool) -> None:
    """Runs what is not finished."""
    runs = [run for run in study.runs() if run not in log.finished]
    jobs = min(jobs, max(len(runs), 1))
    if not verbose or not runs:
        for record in train_all(study, runs, jobs):
            log.add(record)
        return
    announce(study, runs, jobs)
    bar = progress_bar(runs)
    for record in train_all(study, runs, jobs):
        log.add(record)
        bar.add(1)


def _frame(study: Study, log: Log) -> pd.DataFrame:
    """A row a seed, model and task."""
    kept = ("parameters", "epochs", "seconds")
    return pd.DataFrame(
        {
            "model": run.model,
            "seed": run.seed,
            "task": name,
            "metric": study.metrics[name],
            "value": value,
            **{key: log.finished[run][key] for key in kept},
        }
        for run in study.runs()
        for name, value in log.finished[run]["values"].items()
    )
