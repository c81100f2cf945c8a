"""Any Keras metric on one task."""

import re
from typing import Any

import keras
from keras import ops

from kmtl._objective import GroupBatch
from kmtl._typing import MetricLike
from kmtl.layers import TaskOutputs
from kmtl.metrics._cohen_kappa import CohenKappa
from kmtl.tasks import MulticlassTask, RegressionTask, Task

_M = keras.metrics
# Metrics of Keras that take one-hot labels of several classes.
_ONE_HOT = (
    _M.AUC,
    _M.CategoricalAccuracy,
    _M.CategoricalCrossentropy,
    _M.CategoricalHinge,
    _M.F1Score,
    _M.FBetaScore,
    _M.KLDivergence,
    _M.Precision,
    _M.Recall,
    _M.TopKCategoricalAccuracy,
)


def keras_metric(task: Task, metric: MetricLike) -> keras.metrics.Metric:
    """Returns a fresh Keras metric for a task.

    Args:
        task: The task, for messages.
        metric: A metric, its name, or a callable `(y_true, y_pred)`.

    Raises:
        ValueError: If Keras knows no such metric.
    """
    try:
        found = _M.get(metric)
    except ValueError as error:
        raise ValueError(
            f"`metrics` of task {task.name!r} must be Keras metrics, their names or "
            f"callables. For {type(task).__name__} kmtl adds: "
            f"{list(task.default_metrics)} and others, see `kmtl.metrics`. "
            f"Received: {metric!r}."
        ) from error
    if isinstance(found, _M.Metric):
        config = found.get_config()
        return type(found).from_config({**config, "name": _stable_name(found)})
    if not callable(found):
        raise ValueError(
            f"`metrics` of task {task.name!r} must not hold None. Received: {metric!r}."
        )
    return _M.MeanMetricWrapper(found, name=getattr(found, "__name__", "metric"))


def metric_kind(metric: keras.metrics.Metric) -> str:
    """Returns the name that Keras gives to such metrics, whatever this one is called.

    A class of the user's own that is none of Keras' goes by its name.
    """
    bases = type(metric).__mro__
    return next((_KINDS[base] for base in bases if base in _KINDS), str(metric.name))


def _stable_name(metric: keras.metrics.Metric) -> str:
    """Undoes Keras' counting of unnamed metrics: logs must not depend on it."""
    counted = re.fullmatch(rf"({re.escape(_words(type(metric)))})_\d+", metric.name)
    return counted.group(1) if counted else str(metric.name)


def _words(kind: type) -> str:
    """Returns the name of a class in lower case with underscores."""
    between = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"
    return re.sub(between, "_", kind.__name__).lower()


# Classes that do not say what they measure.
_OF_ANY_KIND = (_M.Metric, _M.Mean, _M.MeanMetricWrapper, _M.Sum)
_KINDS = {
    kind: _words(kind)
    for kind in vars(_M).values()
    if isinstance(kind, type) and kind not in _OF_ANY_KIND
} | {_M.FBetaScore: "fbeta_score", CohenKappa: "cohen_kappa"}


def update_keras_metric(
    layer: TaskOutputs,
    group: int,
    position: int,
    metric: keras.metrics.Metric,
    batch: GroupBatch,
) -> None:
    """Adds a batch to the metric of one task.

    The metric sees class ids, or one-hot rows where Keras asks for them, and
    regressions in the label's own unit.
    """
    labels = ops.reshape(batch.labels[:, position], (-1,))
    weights = ops.reshape(batch.weights[:, position], (-1,))
    outputs = batch.outputs[:, position]
    outputs = ops.reshape(outputs, (-1, outputs.shape[-1]))
    first = layer.groups[group].members(layer.tasks)[position]
    if isinstance(first, MulticlassTask):
        labels = _class_labels(metric, labels, outputs.shape[-1])
    else:
        labels = ops.expand_dims(labels, -1)
    if isinstance(first, RegressionTask):
        scale, mean = layer.label_statistics(layer.groups[group])
        scale = ops.cast(scale[position], labels.dtype)
        mean = ops.cast(mean[position], labels.dtype)
        labels, outputs = labels * scale + mean, outputs * scale + mean
    metric.update_state(labels, outputs, sample_weight=weights)


def _class_labels(metric: keras.metrics.Metric, labels: Any, classes: int) -> Any:
    ids = ops.cast(labels, "int32")
    return ops.one_hot(ids, classes) if isinstance(metric, _ONE_HOT) else ids
