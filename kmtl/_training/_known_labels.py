"""Losses and metrics of a model whose heads see true labels of another task."""

from collections.abc import Iterable
from typing import Any

import tensorflow as tf
from keras import ops

from kmtl._objective import Objective
from kmtl._training._forward import Forward
from kmtl._typing import Tensor
from kmtl.metrics._task_metrics import TaskMetrics


class KnownLabels:
    """Measures a model that has tasks conditioned on others.

    Layers run as in predictions, and nothing in the model changes.

    Args:
        model: The model.

    Attributes:
        metrics: The losses and metrics, apart from those of the model.
    """

    def __init__(self, model: Forward) -> None:
        self._model = model
        self._objective = Objective(model.outputs_layer)
        self.metrics = TaskMetrics(model.outputs_layer)
        self._step: Any = self._measure
        if not model.run_eagerly:
            self._step = tf.function(self._measure, reduce_retracing=True)

    def logs(
        self, batches: Iterable[tuple[Any, Any]], parent: int, *, known: bool
    ) -> dict[str, float]:
        """Measures the rows in which the label of one parent is known.

        Args:
            batches: Batches of inputs and packed labels.
            parent: Position of the parent among the tasks conditioned on.
            known: Whether heads see that label; else all see predictions.

        Returns:
            Losses and metrics by their names in the logs.
        """
        self.metrics.reset_state()
        for x, y in batches:
            self._step(x, y, tf.constant(parent), tf.constant(known))
        return self.metrics.result()

    def _measure(self, x: Any, y: Any, parent: Tensor, known: Tensor) -> None:
        labels: Any = self._objective.given(y)  # (rows, parents)
        is_there = ~ops.isnan(ops.take(labels, parent, axis=1))
        seen = ops.logical_and(ops.arange(labels.shape[1]) == parent, known)
        given = ops.where(seen, labels, float("nan"))
        y = {**y, "labels": tuple(_only(is_there, part) for part in y["labels"])}
        logits = self._model.logits(x, training=False, given=given)
        batches = self._objective.batches(y, logits)
        sums = self._objective.sums(batches)
        self.metrics.update_state(batches, *sums, (0.0, 0.0, 0.0))


def _only(rows: Tensor, labels: Tensor) -> Tensor:
    """Labels `(rows, tasks, ...)` of some rows; the others are missing."""
    shape = (-1,) + (1,) * (len(labels.shape) - 1)
    return ops.where(ops.reshape(rows, shape), labels, float("nan"))
