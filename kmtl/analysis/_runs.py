"""One training of a comparison: what is trained, on what, and what it scores."""

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras

from kmtl._checks import check_known_keys, shorten
from kmtl.analysis._baselines import Build, parameters
from kmtl.analysis._rows import Places, Rows, alone
from kmtl.model import MTLModel
from kmtl.tasks import Task

NEED_DIFFERENT = frozenset(["auc", "r2", "r2_score"])
"""Metrics that say nothing where all labels are the same."""

MULTI_TASK = "multi-task"
EQUAL_WIDTH = "equal width"
EQUAL_PARAMETERS = "equal parameters"


class Run(NamedTuple):
    """One training.

    Attributes:
        seed: The seed of the split, the initial values and the batches.
        model: What is trained: `MULTI_TASK` or one of the baselines.
        task: The task of a single-task model; `None` for all tasks.
    """

    seed: int
    model: str
    task: str | None

    def __str__(self) -> str:
        of = "" if self.task is None else f" of task {self.task!r}"
        return f"the {self.model} model{of} with seed {self.seed}"


Record = dict[str, Any]
"""What a run found: its fields, `values` by task, and what it took."""

Parts = tuple[Rows, Rows, Rows]
"""Rows to train, to validate and to test on."""


@dataclass(frozen=True, eq=False)
class Study:
    """All that the trainings of a comparison have in common.

    Attributes:
        tasks: The tasks, with known classes.
        networks: What builds each model, by its name.
        rows: The rows to train, to validate and to test on are among these.
        splits: By seed, where they are there; `None` for all of them.
        metrics: The metric of each task that is compared.
        fit: `epochs` and `batch_size`.
        patience: Epochs without a better validation loss before training ends.
        rates: Learning rates to choose from; none leaves that of the optimizer.
        kinds: What kmtl or Keras calls the metric of each task, whatever its name.
    """

    tasks: tuple[Task, ...]
    networks: Mapping[str, Build]
    rows: Parts
    splits: Sequence[Sequence[Places | None]]
    metrics: Mapping[str, str]
    fit: Mapping[str, Any]
    patience: int
    rates: Sequence[float]
    kinds: Mapping[str, str] = field(default_factory=dict)

    def runs(self) -> Iterator[Run]:
        """Yields all trainings, in the order of the results."""
        for seed in range(len(self.splits)):
            for model in self.networks:
                names = [None] if model == MULTI_TASK else self.metrics
                yield from (Run(seed, model, name) for name in names)

    def of(self, run: Run) -> tuple[tuple[Task, ...], Parts]:
        """Returns the tasks of a run and its rows."""
        train, valid, test = (
            rows if places is None else rows.take(places)
            for rows, places in zip(self.rows, self.splits[run.seed], strict=True)
        )
        if run.task is None:
            return self.tasks, (train, valid, test)
        task = next(task for task in self.tasks if task.name == run.task)
        parts = (part.alone(task, self.tasks) for part in (train, valid, test))
        train, valid, test = parts
        return (alone(task),), (train, valid, test)

    def build(self, run: Run) -> MTLModel:
        """Builds the model of a run, as its training does.

        Raises:
            TypeError: If what builds it returns something else.
            ValueError: If it has other tasks.
        """
        tasks, (train, *_) = self.of(run)
        return self._build(run, tasks, train)

    def _build(self, run: Run, tasks: Sequence[Task], train: Rows) -> MTLModel:
        keras.utils.set_random_seed(run.seed)
        model = self.networks[run.model](train.x, tasks, run.seed)
        if not isinstance(model, MTLModel):
            raise TypeError(
                "`build` must return a model of `kmtl.build_mtl_model`. "
                f"Received: {type(model).__name__}, for {run}."
            )
        wanted = [task.name for task in tasks]
        if sorted(model.task_names) != sorted(wanted):
            raise ValueError(
                "`build` must return a model of the tasks it is given, "
                f"{shorten(wanted)}. Received: one of {shorten(model.task_names)}."
            )
        return model

    def train(self, run: Run) -> Record:
        """Trains and tests the model of a run.

        Raises:
            FloatingPointError: If it diverges with every learning rate.
            ValueError: If a metric has no value.
        """
        record = self.try_out(run)
        for name, value in record["values"].items():
            if value != value:
                raise ValueError(
                    f"Metric {self.metrics[name]!r} of task {name!r} must have a value "
                    f"on the rows to test on; {_why_none(self.kinds[name])}. Give "
                    f"`test` or another metric. Received: NaN, for {run}."
                )
        return record

    def try_out(self, run: Run) -> Record:
        """Trains and tests a model; a metric may be NaN."""
        start = time.perf_counter()
        tasks, (train, valid, test) = self.of(run)
        clock = _Clock()
        trained, error = [], None
        for rate in (*self.rates,) or (None,):
            try:
                trained.append(self._fit(run, tasks, (train, valid), rate, clock))
            except FloatingPointError as diverged:  # that rate is out
                error = diverged
        if error is not None and not trained:
            raise error
        _, epochs, model = min(trained, key=lambda result: result[0])
        return {
            **run._asdict(),
            "values": self._values(tasks, model, test),
            "parameters": parameters(model),
            "epochs": epochs,
            "seconds": time.perf_counter() - start,
            "epoch_seconds": clock.seconds,
        }

    def _fit(
        self,
        run: Run,
        tasks: Sequence[Task],
        parts: tuple[Rows, Rows],
        rate: float | None,
        clock: keras.callbacks.Callback,
    ) -> tuple[float, int, MTLModel]:
        """Returns the best validation loss, when it was, and the model of then."""
        train, valid = parts
        model = self._build(run, tasks, train)
        if rate is not None:
            model.optimizer.learning_rate = rate
        stop = keras.callbacks.EarlyStopping(
            "val_loss", mode="min", patience=self.patience, restore_best_weights=True
        )
        # Once more: batches are the same however many draws the building took.
        keras.utils.set_random_seed(run.seed)
        model.fit(
            train.x,
            train.y,
            validation_data=valid.x if valid.y is None else (valid.x, valid.y),
            callbacks=[stop, clock],
            verbose=0,
            **self.fit,
        )
        return float(stop.best), stop.best_epoch + 1, model

    def _values(
        self, tasks: Sequence[Task], model: MTLModel, test: Rows
    ) -> dict[str, float]:
        rows = self.fit["batch_size"]
        logs = model.evaluate(
            test.x, test.y, batch_size=rows, return_dict=True, verbose=0
        )
        names = [task.name for task in tasks if task.name in self.metrics]
        return {name: logs[f"{name}_{self.metrics[name]}"] for name in names}


def _why_none(kind: str) -> str:
    """Tells why a metric may be NaN."""
    if kind in NEED_DIFFERENT:
        return "it needs labels there that are not all the same"
    return "it has none for the labels and predictions there"


def estimated_seconds(study: Study, run: Run) -> float:
    """Estimates how long a run takes at most, by one of two epochs.

    Raises:
        FloatingPointError: If it diverges with every learning rate.
    """
    epochs = study.fit["epochs"]
    fit = {**study.fit, "epochs": min(epochs, 2)}
    short = _first_that_trains(dataclasses.replace(study, fit=fit), run)
    seconds = short["seconds"] + (epochs - fit["epochs"]) * short["epoch_seconds"]
    return float(max(len(study.rates), 1) * seconds)


def _first_that_trains(study: Study, run: Run) -> Record:
    """Tries a run with one learning rate, another one if that diverges."""
    *others, last = [[rate] for rate in study.rates] or [[]]
    for rates in others:
        try:
            return dataclasses.replace(study, rates=rates).try_out(run)
        except FloatingPointError:  # the comparison leaves it out too
            continue
    return dataclasses.replace(study, rates=last).try_out(run)


class _Clock(keras.callbacks.Callback):
    """Notes how long the shortest epoch took: the first one also traces."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = float("inf")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        del epoch, logs
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        del epoch, logs
        self.seconds = min(self.seconds, time.perf_counter() - self._start)


def metrics_to_compare(
    model: MTLModel, chosen: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, bool], dict[str, str]]:
    """Finds the metric of each task, which way it is better and what it is.

    Args:
        model: The multi-task model.
        chosen: Metrics by task name, for those where it is not the first.

    Returns:
        Metrics by task name, without those of auxiliary tasks, whether higher is
        better, and what kmtl or Keras calls such a metric.

    Raises:
        ValueError: If a task or a metric is not there, or nobody knows which way a
            metric is better.
    """
    compared = [task.name for task in model.tasks if not task.auxiliary]
    check_known_keys(chosen, compared, "metrics")
    suffixes = model.task_metrics.suffixes
    metrics, higher = {}, {}
    for name in compared:
        loss, *others = [v for k, v in suffixes.items() if k == f"{name}_{v}"]
        check_known_keys(
            [chosen[name]] if name in chosen else [],
            [*others, loss],
            f"metrics[{name!r}]",
            "metric",
        )
        metrics[name] = chosen.get(name, [*others, loss][0])
        direction = model.task_metrics.directions.get(f"{name}_{metrics[name]}")
        if direction is None:
            raise ValueError(
                f"Metric {metrics[name]!r} of task {name!r} does not say which way it "
                f"is better; choose another with `metrics={{{name!r}: ...}}`. "
                f"Known: {shorten([*others, loss])}."
            )
        higher[name] = direction == "max"
    known = model.task_metrics.kinds
    return metrics, higher, {n: known[f"{n}_{m}"] for n, m in metrics.items()}
