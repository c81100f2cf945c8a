"""Labels and weights of all tasks, packed along the task axis for one training step."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kmtl._checks import (
    check_class_weight,
    check_known_keys,
    check_mapping,
    did_you_mean,
    shorten,
)
from kmtl._head_groups import HeadGroup
from kmtl._typing import ByTask, Shape
from kmtl.data._labels import as_numbers, encode_labels, values_of
from kmtl.tasks import BinaryTask, MulticlassTask, Task, class_values

Packed = dict[str, Any]
# Factors of the training loss by task name and class id.
ClassFactors = Mapping[str, Mapping[int, float]]


@dataclass(frozen=True)
class Packer:
    """Packs labels by task name into one array a head group.

    Attributes:
        tasks: The tasks of the model.
        groups: Its head groups.
        shapes: Shape of one row's labels, one a task.
        mean: What is subtracted from labels, `(tasks,)`.
        scale: What they are then divided by, `(tasks,)`.
        dtype: Dtype of packed labels.
    """

    tasks: tuple[Task, ...]
    groups: tuple[HeadGroup, ...]
    shapes: tuple[Shape, ...]
    mean: np.ndarray
    scale: np.ndarray
    dtype: str

    def pack(
        self,
        encoded: Sequence[np.ndarray],
        *,
        sample_weight: Any = None,
        class_factors: ClassFactors | None = None,
    ) -> Packed:
        """Packs labels and weights.

        Args:
            encoded: The labels of every task, see `encode`.
            sample_weight: One array for all tasks, or arrays by task name.
            class_factors: See `resolve_class_weight`; `None` leaves them out.

        Returns:
            `"labels"`: a list with one array `(rows, tasks, ...)` a group, NaN where
            missing; and, where given, `"row_weights"`, `(rows,)`, or `"weights"`, a
            list like the labels, and `"class_weights"`, another.

        Raises:
            ValueError: If a key, a shape or a value is wrong.
        """
        columns = [self.standardize(i, column) for i, column in enumerate(encoded)]
        packed: Packed = {"labels": self._by_group(columns)}
        if isinstance(sample_weight, Mapping):
            packed["weights"] = self._weights_by_task(sample_weight, encoded)
        elif sample_weight is not None:
            rows = (len(encoded[0]),)
            weights = check_weights(sample_weight, rows, "sample_weight")
            packed["row_weights"] = weights.astype(self.dtype)
        if class_factors is not None:
            factors = [
                _factors(class_factors.get(task.name, {}), labels)
                for task, labels in zip(self.tasks, encoded, strict=True)
            ]
            packed["class_weights"] = self._by_group(factors)
        return packed

    def encode(self, labels: ByTask, rows: int | None = None) -> list[np.ndarray]:
        """Encodes the labels of every task as 0 and 1, class ids or numbers.

        Args:
            labels: Labels by task name; a task left out is missing everywhere.
            rows: The number of rows of the inputs; by default that of the first labels.

        Returns:
            One float64 array `(rows, ...)` a task, NaN where missing or where the
            label does not count, see `Task.only_if`.
        """
        check_known_keys(labels, self._names, "y")
        encoded = {
            task.name: encode_labels(task, labels[task.name], shape)
            for task, shape in zip(self.tasks, self.shapes, strict=True)
            if labels.get(task.name) is not None
        }
        if rows is None:
            rows = len(next(iter(encoded.values())))
        for name, column in encoded.items():
            if len(column) != rows:
                raise ValueError(
                    f"Labels of task {name!r} must be as many as the inputs, {rows}. "
                    f"Received: {len(column)}."
                )
        columns = {
            task.name: encoded[task.name]
            if task.name in encoded
            else _all_missing(rows, shape)
            for task, shape in zip(self.tasks, self.shapes, strict=True)
        }
        return [counting_labels(task, columns) for task in self.tasks]

    @property
    def _names(self) -> list[str]:
        return [task.name for task in self.tasks]

    def standardize(self, index: int, column: np.ndarray) -> np.ndarray:
        """Standardises the encoded labels of the task at a position.

        Raises:
            ValueError: If there are labels, and their statistics are not known.
        """
        mean, scale = self.mean[index], self.scale[index]
        if mean == 0 and scale == 1:
            return column
        if np.isnan(mean) and not np.isnan(column).all():
            raise ValueError(
                "Mean and standard deviation of the labels of task "
                f"{self.tasks[index].name!r} are not known yet; call `fit` or "
                "`adapt_labels(y)` first."
            )
        return (column - mean) / scale

    def _by_group(self, columns: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        # A tuple: `tf.data` would take a list of arrays for one array.
        return tuple(
            np.stack([columns[i] for i in group.indices], axis=1, dtype=self.dtype)
            for group in self.groups
        )

    def _weights_by_task(
        self, sample_weight: ByTask, encoded: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, ...]:
        check_known_keys(sample_weight, self._names, "sample_weight")
        columns = []
        for task, labels in zip(self.tasks, encoded, strict=True):
            weights = sample_weight.get(task.name)
            if weights is None:
                columns.append(np.ones_like(labels))
                continue
            subject = f"sample_weight[{task.name!r}]"
            weights = check_weights(weights, labels.shape, subject)
            rest = (1,) * (labels.ndim - weights.ndim)
            weights = weights.reshape(*weights.shape, *rest)
            columns.append(np.broadcast_to(weights, labels.shape))
        return self._by_group(columns)


def _all_missing(rows: int, shape: Shape) -> np.ndarray:
    known = tuple(1 if n is None else n for n in shape)
    return np.full((rows, *known), np.nan)


def counting_labels(task: Task, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns the labels of a task, missing where its condition does not hold."""
    labels = columns[task.name]
    if task.only_if is None:
        return labels
    holds = columns[task.only_if] == 1
    if holds.shape != labels.shape[: holds.ndim]:
        raise ValueError(
            f"`only_if` of task {task.name!r} needs labels of one shape. Received: "
            f"shape={labels.shape} and {holds.shape} of task {task.only_if!r}."
        )
    holds = holds.reshape(*holds.shape, *(1,) * (labels.ndim - holds.ndim))
    return np.where(holds, labels, np.nan)


def resolve_class_weight(
    tasks: Sequence[Task], given: ByTask | None
) -> ClassFactors | None:
    """Merges the class weights given to `fit` over those of the tasks.

    Returns:
        Factors by task name and class id, or `None` where no task has any.

    Raises:
        TypeError: If what is given is no dict of dicts.
        ValueError: If a key names no task, a task without classes or no class, or if
            a factor is no weight.
    """
    given = {} if given is None else given
    check_mapping(given, "class_weight", "class weights by task name")
    check_known_keys(given, [task.name for task in tasks], "class_weight")
    merged = {}
    for task in tasks:
        if isinstance(task, (BinaryTask, MulticlassTask)):
            weights = given.get(task.name, task.class_weight)
            if weights is not None:
                merged[task.name] = _by_class(task, weights)
        elif task.name in given:
            raise ValueError(
                f"`class_weight` needs classes, which {type(task).__name__} has none "
                f"of. Received: class_weight for {task.name!r}."
            )
    return merged or None


def _by_class(
    task: BinaryTask | MulticlassTask, weights: Mapping[Any, float]
) -> dict[int, float]:
    check_class_weight(weights, f"class_weight of task {task.name!r}")
    factors: dict[int, float] = {}
    for value, weight in weights.items():
        index = _class_index(task, value)
        if index in factors:
            raise ValueError(
                f"`class_weight` of task {task.name!r} names one class twice. "
                f"Received: {dict(weights)!r}."
            )
        factors[index] = float(weight)
    return factors


def _class_index(task: BinaryTask | MulticlassTask, value: Hashable) -> int:
    """Returns the position of a label value among the classes of a task.

    Raises:
        ValueError: If the value is no class of the task.
    """
    classes = class_values(task)
    if value in classes:
        return classes.index(value)
    if isinstance(task, BinaryTask):
        if value in (0, 1):
            return int(value == 1)
        if task.positive is not None and value == task.positive:
            return 1
        classes = classes or (0, 1)
    raise ValueError(
        f"{value!r} is no class of task {task.name!r}."
        f"{did_you_mean(value, classes)} Classes: {shorten(classes)}; others can be "
        "named with `classes=`."
    )


def _factors(weights: Mapping[int, float], labels: np.ndarray) -> np.ndarray:
    factors = np.ones_like(labels)
    for index, weight in weights.items():
        factors[labels == index] = weight
    return factors


def check_weights(weights: Any, shape: tuple[int, ...], subject: str) -> np.ndarray:
    """Returns weights as floats, or raises `ValueError` for wrong ones.

    Args:
        weights: One weight a row, or one an element of the labels.
        shape: The shape of the labels.
        subject: Names the weights in messages.
    """
    array = values_of(weights)
    numbers = as_numbers(array.ravel())
    if numbers is None:
        raise ValueError(
            f"`{subject}` must be numbers; a missing label needs no weight. "
            f"Received: {weights!r}."
        )
    array = numbers.reshape(array.shape)
    if math.prod(array.shape[1:]) == 1 and array.shape != shape:
        array = array.reshape(-1)
    if array.ndim == 0 or array.shape != shape[: array.ndim]:
        raise ValueError(
            f"`{subject}` must be one weight a row, {shape[0]}. "
            f"Received: shape={array.shape}."
        )
    wrong = ~np.isfinite(array) | (array < 0)
    if wrong.any():
        raise ValueError(
            f"`{subject}` must be finite and at least 0; a missing label needs no "
            f"weight. Received: {array[wrong][0]}."
        )
    return array
