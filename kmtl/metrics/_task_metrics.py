"""All losses and metrics of a model in one Keras metric with vector state."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kmtl._keras_gaps import metric_direction
from kmtl._objective import GroupBatch
from kmtl._typing import MetricLike, Tensor
from kmtl.layers import TaskOutputs
from kmtl.metrics._auc import AUC
from kmtl.metrics._keras_metrics import (
    keras_metric,
    metric_kind,
    update_keras_metric,
)
from kmtl.metrics._vector import (
    R2,
    Accuracy,
    MeanAbsoluteError,
    MeanSquaredError,
    RootMeanSquaredError,
    VectorMetric,
)
from kmtl.tasks import (
    BinaryTask,
    MulticlassTask,
    ProductTask,
    RegressionTask,
    Task,
)

_ERRORS = (MeanAbsoluteError, MeanSquaredError, RootMeanSquaredError, R2)
_VECTOR_METRICS: dict[type[Task], tuple[type[VectorMetric], ...]] = {
    BinaryTask: (AUC, Accuracy),
    ProductTask: (AUC, Accuracy),
    MulticlassTask: (Accuracy,),
    RegressionTask: _ERRORS,
}


class TaskMetrics(keras.metrics.Metric):
    """Exact losses and metrics of every task over the rows of an epoch.

    Args:
        layer: The output layer of the model, which knows tasks and head groups.
        replicas: The number of replicas that train the model.
        is_coupled: Whether towers are coupled, so that there is a `sharing_penalty`.
        is_distilled: Whether there is a `distillation_loss`.
    """

    def __init__(
        self,
        layer: TaskOutputs,
        replicas: int = 1,
        *,
        is_coupled: bool = False,
        is_distilled: bool = False,
    ) -> None:
        super().__init__(name="tasks")
        # Which of the penalties have a name in the logs: those of layers have none.
        self._penalty_names = [
            None,
            "sharing_penalty" if is_coupled else None,
            "distillation_loss" if is_distilled else None,
        ]
        self._replicas = replicas
        self._layer = layer
        count = len(layer.tasks)
        # By task: weighted sum of losses, sum of weights, batches before a bad one,
        # batches. Those count together with what depends on the data: the step that
        # finds the end of a dataset runs all that does not.
        self._losses = self._sums("losses", (4, count))
        # Sums of the penalties, number of batches.
        self._steps = self._sums("steps", (len(self._penalty_names) + 1,))
        # (group, positions in the group, metric, state)
        self._vector: list[tuple[int, list[int], VectorMetric, Any]] = []
        # (group, position in the group, metric)
        self._single: list[tuple[int, int, keras.metrics.Metric]] = []
        self._names: dict[str, list[str]] = {task.name: [] for task in layer.tasks}
        # By name in the logs: which way is better, the name without the task's, and
        # what Keras or kmtl calls such a metric, whatever its name.
        self.directions: dict[str, str] = {
            name: "min" for name in ["loss", *self._penalty_names] if name is not None
        }
        self.suffixes: dict[str, str] = {}
        self.kinds: dict[str, str] = {}
        for group in range(len(layer.groups)):
            self._add_group(group)

    def _sums(self, name: str, shape: tuple[int, ...], dtype: str = "float64") -> Any:
        return self.add_weight(name=name, shape=shape, initializer="zeros", dtype=dtype)

    def _add_group(self, group: int) -> None:
        members = self._layer.groups[group].members(self._layer.tasks)
        together: dict[type[VectorMetric], list[int]] = {}
        for position, task in enumerate(members):
            self.directions[f"{task.name}_loss"] = "min"
            self.suffixes[f"{task.name}_loss"] = "loss"
            self.kinds[f"{task.name}_loss"] = "loss"
            for metric in _metrics_of(task):
                vector = _vector_metric(task, metric)
                if vector is None:
                    single = keras_metric(task, metric)
                    self._single.append((group, position, single))
                    self._register(task, single.name, metric_direction(single))
                    self.kinds[f"{task.name}_{single.name}"] = metric_kind(single)
                else:
                    together.setdefault(vector, []).append(position)
                    self._register(task, vector.name, vector.direction)
                    self.kinds[f"{task.name}_{vector.name}"] = vector.name
        for vector, positions in together.items():
            metric = vector(len(positions), self._replicas)
            shape = (len(positions), metric.width)
            state = self._sums(f"{metric.name}_{group}", shape, metric.dtype)
            self._vector.append((group, positions, metric, state))

    def _register(self, task: Task, metric: str, direction: str | None) -> None:
        names = self._names[task.name]
        if metric in (*names, "loss", "weight"):
            raise ValueError(
                f"`metrics` of task {task.name!r} must have different names, and none "
                "may be 'loss' or 'weight', which the logs have of each task; name "
                "them, e.g. keras.metrics.AUC(name='pr_auc'). "
                f"Received: {metric!r}."
            )
        names.append(metric)
        self.suffixes[f"{task.name}_{metric}"] = metric
        if direction is not None:
            self.directions[f"{task.name}_{metric}"] = direction

    def update_state(
        self,
        batches: Sequence[GroupBatch],
        loss_sums: Tensor,
        weight_sums: Tensor,
        penalties: Sequence[Tensor],
    ) -> None:
        """Adds a batch.

        Args:
            batches: One a head group.
            loss_sums: Weighted sums of the losses, `(tasks,)`.
            weight_sums: Sums of the weights, `(tasks,)`.
            penalties: Those of layers, of coupled towers and of distillation in this
                step, scalars.
        """
        self._steps.assign_add(ops.cast(ops.stack([*penalties, 1.0]), "float64"))
        # Once a loss is not finite, its sum never is again.
        finite = ops.isfinite(self._losses[0] + ops.cast(loss_sums, "float64"))
        finite = ops.cast(finite, loss_sums.dtype)
        rows = ops.stack([loss_sums, weight_sums, finite, ops.ones_like(finite)])
        self._losses.assign_add(ops.cast(rows, "float64"))
        for group, positions, metric, state in self._vector:
            scale, _ = self._layer.label_statistics(self._layer.groups[group])
            scale = ops.take(ops.cast(scale, loss_sums.dtype), positions)
            part = _take(batches[group], positions)
            state.assign(metric.update(ops.convert_to_tensor(state), part, scale))
        for group, position, metric in self._single:
            update_keras_metric(self._layer, group, position, metric, batches[group])

    def running_total(self) -> Tensor:
        """The total loss over the epoch so far, as a tensor; for the progress bar."""
        losses = self._losses[0] / ops.maximum(self._losses[1], 1e-38)
        total = ops.sum(self._layer.loss_weights * ops.cast(losses, self._layer.dtype))
        penalty = ops.sum(self._steps[:-1]) / ops.maximum(self._steps[-1], 1.0)
        return total + ops.cast(penalty, total.dtype)

    def result(self) -> dict[str, float]:
        """Returns the total, and every loss and metric by its name in the logs.

        A task without a labelled row has NaN, which no monitor takes for a best value,
        and is left out of the total.
        """
        sums, weights, *_ = ops.convert_to_numpy(self._losses)
        known = weights > 0
        losses = np.where(known, sums, np.nan) / np.where(known, weights, 1)
        values = self._metric_values()
        penalties = self._penalties()
        weighted = ops.convert_to_numpy(self._layer.loss_weights) * losses
        logs = {"loss": float(np.nansum(weighted) + penalties.sum())}
        for name, penalty in zip(self._penalty_names, penalties, strict=True):
            if name is not None:
                logs[name] = float(penalty)
        for index, task in enumerate(self._layer.tasks):
            logs[f"{task.name}_loss"] = float(losses[index])
            for metric in self._names[task.name]:
                value = values[task.name, metric] if known[index] else np.nan
                logs[f"{task.name}_{metric}"] = float(value)
        return logs

    def _penalties(self) -> np.ndarray:
        *sums, steps = ops.convert_to_numpy(self._steps)
        return np.array(sums) / max(steps, 1.0)

    def _metric_values(self) -> dict[tuple[str, str], float]:
        values: dict[tuple[str, str], float] = {}
        for group, positions, metric, state in self._vector:
            result = metric.result(ops.convert_to_numpy(state))
            for position, value in zip(positions, result, strict=True):
                values[self._task(group, position).name, metric.name] = value
        for group, position, single in self._single:
            name = self._task(group, position).name
            values[name, single.name] = float(ops.mean(single.result()))
        return values

    def _task(self, group: int, position: int) -> Task:
        return self._layer.tasks[self._layer.groups[group].indices[position]]

    def first_bad(self) -> dict[str, int]:
        """Tasks whose loss was not finite, and the number of the first such batch."""
        *_, finite, batches = ops.convert_to_numpy(self._losses)
        return {
            task.name: int(count // self._replicas) + 1
            for task, count, seen in zip(
                self._layer.tasks, finite, batches, strict=True
            )
            if count < seen
        }

    def reset_state(self) -> None:
        own = [self._losses, self._steps, *(state for *_, state in self._vector)]
        for variable in own:
            variable.assign(ops.zeros_like(variable))
        for _, _, metric in self._single:
            metric.reset_state()

    def save_own_variables(self, store: Any) -> None:
        """Saves nothing: sums over an epoch are no part of a model."""

    def load_own_variables(self, store: Any) -> None:
        """Loads nothing, as nothing was saved."""


def _metrics_of(task: Task) -> Sequence[MetricLike]:
    return task.default_metrics if task.metrics is None else task.metrics


def _vector_metric(task: Task, metric: MetricLike) -> type[VectorMetric] | None:
    """The metric of many tasks with this name, if there is one for the kind of task."""
    if not isinstance(metric, str):
        return None
    for vector in _VECTOR_METRICS[type(task)]:
        if metric.lower() == vector.name:
            return vector
    return None


def _take(batch: GroupBatch, positions: list[int]) -> GroupBatch:
    if len(positions) == batch.labels.shape[1]:
        return batch
    parts = {
        field.name: ops.take(getattr(batch, field.name), positions, axis=1)
        for field in dataclasses.fields(batch)
    }
    return GroupBatch(**parts)
