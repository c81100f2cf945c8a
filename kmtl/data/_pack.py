"""Labels and weights of all tasks, packed along the task axis for one training step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kmtl._checks import check_known_keys
from kmtl._head_groups import HeadGroup
from kmtl._typing import ByTask, Shape
from kmtl.data._labels import encode_labels
from kmtl.tasks import BinaryTask, MulticlassTask, Task, class_index

Packed = dict[str, Any]


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
        class_weight: ByTask | None = None,
    ) -> Packed:
        """Packs labels and weights.

        Args:
            encoded: The labels of every task, see `encode`.
            sample_weight: One array for all tasks, or arrays by task name.
            class_weight: Factors by task name, then by label value; these come before
                those of the task. `None` leaves all class weights out.

        Returns:
            `"labels"`: a list with one array `(rows, tasks, ...)` a group, NaN where
            missing; and, where given, `"row_weights"`, `(rows,)`, or `"weights"`, a
            list like the labels, and `"class_weights"`, another.

        Raises:
            ValueError: If a key, a shape or a value is wrong.
        """
        columns = [self._standardize(i, column) for i, column in enumerate(encoded)]
        packed: Packed = {"labels": self._by_group(columns)}
        if isinstance(sample_weight, Mapping):
            packed["weights"] = self._weights_by_task(sample_weight, encoded)
        elif sample_weight is not None:
            weights = check_weights(sample_weight, len(encoded[0]), "sample_weight")
            packed["row_weights"] = weights.astype(self.dtype)
        if class_weight is not None:
            factors = self._class_factors(class_weight, encoded)
            packed["class_weights"] = self._by_group(factors)
        return packed

    def encode(self, labels: ByTask, rows: int) -> list[np.ndarray]:
        """Encodes the labels of every task as 0 and 1, class ids or numbers.

        Args:
            labels: Labels by task name; a task left out is missing everywhere.
            rows: The number of rows of the inputs.

        Returns:
            One float64 array `(rows, ...)` a task, NaN where missing.
        """
        check_known_keys(labels, self._names, "y")
        return [self._encode(i, labels, rows) for i in range(len(self.tasks))]

    @property
    def _names(self) -> list[str]:
        return [task.name for task in self.tasks]

    def _encode(self, index: int, labels: ByTask, rows: int) -> np.ndarray:
        task, shape = self.tasks[index], self.shapes[index]
        if labels.get(task.name) is None:
            known = tuple(1 if n is None else n for n in shape)
            return np.full((rows, *known), np.nan)
        encoded = encode_labels(task, labels[task.name], shape)
        if len(encoded) != rows:
            raise ValueError(
                f"Labels of task {task.name!r} must be as many as the inputs, {rows}. "
                f"Received: {len(encoded)}."
            )
        return encoded

    def _standardize(self, index: int, column: np.ndarray) -> np.ndarray:
        if self.mean[index] == 0 and self.scale[index] == 1:
            return column
        return (column - self.mean[index]) / self.scale[index]

    def _by_group(self, columns: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [
            np.stack([columns[i] for i in group.indices], axis=1, dtype=self.dtype)
            for group in self.groups
        ]

    def _weights_by_task(
        self, sample_weight: ByTask, encoded: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        check_known_keys(sample_weight, self._names, "sample_weight")
        columns = []
        for task, labels in zip(self.tasks, encoded, strict=True):
            weights = sample_weight.get(task.name)
            subject = f"sample_weight[{task.name!r}]"
            if weights is None:
                weights = np.ones(len(labels))
            weights = check_weights(weights, len(labels), subject)
            rest = (1,) * (labels.ndim - weights.ndim)
            weights = weights.reshape(*weights.shape, *rest)
            columns.append(np.broadcast_to(weights, labels.shape))
        return self._by_group(columns)

    def _class_factors(
        self, class_weight: ByTask, encoded: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        return [
            _factors(task, class_weight.get(task.name), labels)
            for task, labels in zip(self.tasks, encoded, strict=True)
        ]


def effective_class_weight(
    tasks: Sequence[Task], given: ByTask | None
) -> dict[str, Mapping[Any, float]] | None:
    """Merges the class weights given to `fit` over those of the tasks.

    Returns:
        Class weights by task name, or `None` where no task has any.

    Raises:
        ValueError: If a key names no task, or a task without classes.
    """
    given = {} if given is None else given
    check_known_keys(given, [task.name for task in tasks], "class_weight")
    merged: dict[str, Mapping[Any, float]] = {}
    for task in tasks:
        if isinstance(task, (BinaryTask, MulticlassTask)):
            weights = given.get(task.name, task.class_weight)
            if weights is not None:
                merged[task.name] = weights
        elif task.name in given:
            raise ValueError(
                f"`class_weight` needs classes, which {type(task).__name__} has none "
                f"of. Received: class_weight for {task.name!r}."
            )
    return merged or None


def _factors(
    task: Task, weights: Mapping[Any, float] | None, labels: np.ndarray
) -> np.ndarray:
    factors = np.ones_like(labels)
    if weights is None or not isinstance(task, (BinaryTask, MulticlassTask)):
        return factors
    for value, weight in weights.items():
        factors[labels == class_index(task, value)] = float(weight)
    return factors


def check_weights(weights: Any, rows: int, subject: str) -> np.ndarray:
    """Returns weights as floats, or raises `ValueError` for wrong ones."""
    try:
        array = np.asarray(weights, dtype="float64")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{subject}` must be numbers. Received: {weights!r}."
        ) from error
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 0 or len(array) != rows:
        raise ValueError(
            f"`{subject}` must have one weight a row, {rows}. "
            f"Received: shape={array.shape}."
        )
    wrong = ~np.isfinite(array) | (array < 0)
    if wrong.any():
        raise ValueError(
            f"`{subject}` must be finite and at least 0; a missing label needs no "
            f"weight. Received: {array[wrong][0]}."
        )
    return array
