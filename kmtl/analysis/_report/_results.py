"""What was measured on the last part of the data, beside what it is compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kmtl._checks import check_known_keys, check_mapping
from kmtl._gains import gain, is_absolute
from kmtl.analysis._report._curves import Curves
from kmtl.analysis._report._parts import Part
from kmtl.metrics._task_metrics import TaskMetrics
from kmtl.model import MTLModel
from kmtl.tasks import BinaryTask, MulticlassTask, Task

# Rows of a batch when nothing is learned.
BATCH = 256
_NAN = float("nan")


@dataclass(frozen=True)
class Result:
    """One metric of one task.

    Attributes:
        task: The task.
        metric: Its name in the logs, without that of the task.
        train: Its value in the last epoch of training.
        valid: Likewise in validation.
        test: Its value on the rows measured.
        baseline: What the user compares it with.
        constant: What predicting one value for all rows gives.
        gain: How much better `test` is than the baseline, else than the constant.
        is_absolute: Whether the gain is a difference, not a share.
    """

    task: Task
    metric: str
    train: float
    valid: float
    test: float
    baseline: float
    constant: float
    gain: float
    is_absolute: bool


def measure(
    model: MTLModel, part: Part, curves: Curves, baselines: Mapping[str, float] | None
) -> list[Result]:
    """Evaluates a model; of each task the first metric comes first, the loss last.

    Raises:
        TypeError: If `baselines` is no dict.
        ValueError: If it names a metric that the model does not have.
    """
    logs = model.evaluate(part.x, part.y, batch_size=BATCH, return_dict=True, verbose=0)
    if baselines is not None:
        check_mapping(baselines, "baselines", "values by name, such as 'rich_auc'")
        check_known_keys(baselines, logs, "baselines", "metric")
    found: dict[str, list[str]] = {}
    by_length = sorted(model.task_names, key=len, reverse=True)
    for key in logs:
        task = next((n for n in by_length if key.startswith(f"{n}_")), None)
        if task is not None and key != "loss":
            found.setdefault(task, []).append(key[len(task) + 1 :])
    return [
        _result(task, metric, logs, curves, part, baselines or {}, model.task_metrics)
        for task in model.tasks
        for metric in _ordered(found.get(task.name, []))
    ]


def _ordered(metrics: Sequence[str]) -> list[str]:
    return [m for m in metrics if m != "loss"] + [m for m in metrics if m == "loss"]


def _result(
    task: Task,
    metric: str,
    logs: Mapping[str, float],
    curves: Curves,
    part: Part,
    baselines: Mapping[str, float],
    metrics: TaskMetrics,
) -> Result:
    key = f"{task.name}_{metric}"
    direction = metrics.directions.get(key)
    kind = metrics.kinds.get(key, metric)
    baseline = float(baselines.get(key, _NAN))
    constant = constant_value(task, metric, part.labels[task.name])
    test = float(logs[key])
    return Result(
        task,
        metric,
        curves.last(task.name, metric, "train"),
        curves.last(task.name, metric, "valid"),
        test,
        baseline,
        constant,
        _gain(kind, test, constant if np.isnan(baseline) else baseline, direction),
        is_absolute(kind),
    )


def _gain(kind: str, value: float, baseline: float, direction: str | None) -> float:
    if np.isnan(baseline) or direction is None:  # a function of the user's own
        return _NAN
    return float(gain(kind, value, baseline, higher=direction == "max"))


def constant_value(task: Task, metric: str, labels: np.ndarray) -> float:
    """What the best constant prediction gives, NaN where nobody can say."""
    known = labels[np.isfinite(labels)]
    if not known.size:
        return _NAN
    if isinstance(task, BinaryTask | MulticlassTask):
        is_auc = metric == "auc" and len(np.unique(known)) > 1
        share = np.unique(known, return_counts=True)[1].max() / known.size
        return {"accuracy": float(share), "auc": 0.5 if is_auc else _NAN}.get(
            metric, _NAN
        )
    variance = float(known.var())
    by_metric = {
        "mae": float(np.abs(known - np.median(known)).mean()),
        "mse": variance,
        "rmse": variance**0.5,
        "r2": 0.0,
    }
    return by_metric.get(metric, _NAN)


def main_results(results: Sequence[Result]) -> list[Result]:
    """The first metric of each task; its loss where it has none."""
    first: dict[str, Result] = {}
    for result in results:
        first.setdefault(result.task.name, result)
    return list(first.values())
