"""How much the label of one task tells about another."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from kmtl._checks import check_choice, check_positive_integer
from kmtl._head_groups import conditions
from kmtl._loss_view import batches_of
from kmtl._prepare import check_adapted, prepare_validation
from kmtl._training._known_labels import KnownLabels
from kmtl.analysis._check_model import check_model
from kmtl.data import Feed, check_ends
from kmtl.metrics._task_metrics import TaskMetrics
from kmtl.model import MTLModel
from kmtl.tasks import Task


def information_gain(
    model: MTLModel,
    data: Any,
    *,
    metric: str = "loss",
    batch_size: int = 256,
    steps: int | None = None,
) -> pd.DataFrame:
    """Tells how much better tasks are predicted when the label of another is known.

    For models with conditional heads (`condition_on=`). Each task is measured twice on
    the rows where the parent's label is known: once with that label given to the heads
    (see `predict(given=...)`), once with its prediction in the place.

    The gain of a cross entropy is in nats a row. The better the heads are trained, the
    nearer it comes to what the parent's label tells beyond the inputs, the conditional
    mutual information. Heads see labels in training and predictions afterwards, so a
    part of a gain may be what a prediction that is surer than right costs.

    Args:
        model: The model, trained.
        data: Rows with labels that were not trained on, in the forms that `fit` takes
            as `validation_data`: a frame, `(x, y)`, `(x, y, sample_weight)`, a source
            or a dataset. They are read twice a parent.
        metric: What is measured: `"loss"`, or the name of a metric without the task,
            such as `"auc"`.
        batch_size: Rows a batch; a dataset has its own.
        steps: How many batches to read; all by default.

    Returns:
        A frame with a row for each parent and a column for each task that depends on
        one, directly or through others: how much the loss (or an error) falls, or the
        score rises. NaN where a task does not depend on a parent, lacks the metric, or
        no row has both labels.

    Raises:
        TypeError: If `model` is no `MTLModel`.
        ValueError: If no task is conditioned on another, or no task that is has the
            metric.

    Example:
        >>> import kmtl, numpy as np
        >>> tasks = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b", condition_on="a")]
        >>> model = kmtl.build_mtl_model((2,), tasks)
        >>> x, y = np.zeros((4, 2)), {"a": [0, 1, 0, 1], "b": [0, 1, 0, 1]}
        >>> kmtl.analysis.information_gain(model, (x, y)).shape
        (1, 1)
    """
    check_model(model)
    check_positive_integer(batch_size, "batch_size")
    parents = [model.tasks[index].name for index in conditions(model.tasks)]
    if not parents:
        raise ValueError(
            "`model` must have tasks that are conditioned on others. Received: none. "
            "Build it with `condition_on=` in a task."
        )
    check_adapted(model, "information_gain")
    check_ends(data, steps, "steps")
    known = KnownLabels(model)
    children = {parent: _below(model.tasks, parent) for parent in parents}
    measured = _with_metric(children, known.metrics, metric)
    gains = pd.DataFrame(np.nan, index=parents, columns=measured)
    batches = _batches(model, data, batch_size, steps)
    for position, parent in enumerate(parents):
        with_label, without = (
            known.logs(batches(), position, known=is_known)
            for is_known in (True, False)
        )
        for child in gains.columns.intersection(children[parent]):
            name = f"{child}_{metric}"
            sign = 1.0 if known.metrics.directions[name] == "max" else -1.0
            gains.loc[parent, child] = sign * (with_label[name] - without[name])
    return gains


def _batches(
    model: MTLModel, data: Any, batch_size: int, steps: int | None
) -> Callable[[], Iterator[tuple[Any, Any]]]:
    """Encodes the data once, to be read often."""
    prepared = prepare_validation(model, data, Feed(batch_size))
    x, y = prepared if isinstance(prepared, tuple) else (prepared, None)
    return lambda: batches_of(x, y, batch_size, steps)


def _below(tasks: tuple[Task, ...], parent: str) -> list[str]:
    """Names of the tasks that a known label of `parent` reaches, in the tasks' order.

    The first step is a condition: a product of tasks sees predictions only.
    """
    reached = {task.name for task in tasks if parent in task.condition_on}
    while True:
        more = {task.name for task in tasks if reached.intersection(task.parents)}
        if more <= reached:
            return [task.name for task in tasks if task.name in reached]
        reached |= more


def _with_metric(
    children: Mapping[str, list[str]], metrics: TaskMetrics, metric: str
) -> list[str]:
    """The tasks below others that have a metric of which the better way is known."""
    below = list(dict.fromkeys(itertools.chain(*children.values())))
    known = {
        suffix
        for name, suffix in metrics.suffixes.items()
        if name in metrics.directions and name.removesuffix(f"_{suffix}") in below
    }
    check_choice(metric, tuple(sorted(known)), "metric")
    return [name for name in below if f"{name}_{metric}" in metrics.directions]
