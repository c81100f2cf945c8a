"""One door for frames, arrays and datasets: inputs and packed labels come out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kmtl._checks import check_known_keys, check_unique, did_you_mean, shorten
from kmtl._typing import ByTask
from kmtl.data._inputs import InputSpecs, encode_inputs, rows_of
from kmtl.data._labels import distinct_labels
from kmtl.data._pack import Packed, Packer, resolve_class_weight
from kmtl.data._resolve import label_column
from kmtl.features import TabularFeatures
from kmtl.tasks import BinaryTask, Task


@dataclass(frozen=True)
class Adapter:
    """Turns what a user passes to `fit` into what a training step takes.

    Attributes:
        packer: Packs labels and weights.
        specs: Shape and dtype of each input of the model.
        features: The features of a model that was built on a table.
    """

    packer: Packer
    specs: InputSpecs
    features: TabularFeatures | None

    def inputs(self, x: Any) -> dict[str, np.ndarray]:
        """Encodes inputs alone, for prediction."""
        encoded: dict[str, np.ndarray] = encode_inputs(x, self.specs, self.features)
        rows_of(encoded)
        return encoded

    def batch(
        self,
        x: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        class_weight: ByTask | None = None,
        training: bool,
        whole: bool = True,
    ) -> tuple[dict[str, np.ndarray], Packed]:
        """Encodes inputs and packs labels.

        Args:
            x: A frame, an array or a dict of arrays.
            y: Labels by task name; `None` takes them from the columns of the frame.
            sample_weight: Weights, or the name of a column that holds them.
            class_weight: Class weights by task name.
            training: Whether class weights count.
            whole: Whether these are all training rows, not one batch of them: then
                every task that is named needs a label.

        Returns:
            Inputs by name and packed labels.
        """
        check_same_order(x, y, "y")
        check_same_order(x, sample_weight, "sample_weight")
        inputs = encode_inputs(x, self.specs, self.features)
        rows = rows_of(inputs)
        labels = self.labels(x, y)
        encoded = self.packer.encode(labels, rows)
        if training and whole:
            self._check_learnable(labels, encoded)
        factors = resolve_class_weight(self.packer.tasks, class_weight)
        packed = self.packer.pack(
            encoded,
            sample_weight=_weight_columns(x, sample_weight),
            class_factors=factors if training else None,
        )
        return inputs, packed

    def labels(self, x: Any, y: Any) -> dict[str, Any]:
        """Finds the labels of each task in `y` or in the columns of a frame.

        Raises:
            ValueError: If there are none, or a key names no task.
        """
        if y is None:
            if not isinstance(x, pd.DataFrame):
                raise ValueError(
                    "`y` must be given unless `x` is a DataFrame with the label "
                    f"columns. Received: x={type(x).__name__}, y=None."
                )
            return {task.name: label_column(task, x) for task in self.packer.tasks}
        labels = _by_task(self.packer.tasks, y)
        if all(values is None for values in labels.values()):
            raise ValueError(f"`y` must hold labels of a task. Received: {y!r}.")
        return labels

    def _check_learnable(
        self, labels: Mapping[str, Any], encoded: Sequence[np.ndarray]
    ) -> None:
        for task, column in zip(self.packer.tasks, encoded, strict=True):
            if labels.get(task.name) is None:
                continue
            if np.isnan(column).all():
                raise ValueError(
                    f"Every label of task {task.name!r} is missing{_unless(task)}. "
                    f"Received: {len(column)} rows. Pass `y` without the task to train "
                    "without it."
                )
            if isinstance(task, BinaryTask) and task.classes is None:
                _check_positive_occurs(task, labels[task.name], column)


def _unless(task: Task) -> str:
    if task.only_if is None:
        return ""
    return f" or does not count, as that of task {task.only_if!r} is not positive"


def _by_task(tasks: Sequence[Task], y: Any) -> dict[str, Any]:
    if isinstance(y, pd.DataFrame):
        return _from_columns(tasks, y)
    if isinstance(y, Mapping):
        check_known_keys(y, [task.name for task in tasks], "y")
        return dict(y)
    if len(tasks) == 1:
        return {tasks[0].name: y}
    raise ValueError(
        "`y` must be a dict or a DataFrame with labels by task name. "
        f"Received: {type(y).__name__}. Tasks: {shorten(t.name for t in tasks)}."
    )


def _from_columns(tasks: Sequence[Task], y: pd.DataFrame) -> dict[str, Any]:
    """Takes each task's column, by the name of the task or else of its label."""
    check_unique(y.columns, "columns of y")
    names = {task.name for task in tasks}
    columns = {task.column for task in tasks}
    check_known_keys(y.columns, [*names, *columns], "y")
    found = {}
    for task in tasks:
        column = task.name if task.name in y.columns else task.column
        if column in y.columns:
            found[task.name] = y[column]
        if column != task.column and task.column in {*y.columns} - names:
            raise ValueError(
                f"`y` must have one column for task {task.name!r}. Received: "
                f"{task.name!r} and {task.column!r}."
            )
    return found


def _check_positive_occurs(task: BinaryTask, labels: Any, column: np.ndarray) -> None:
    if task.positive is not None and not (column == 1).any():
        values = distinct_labels(task, labels)
        raise ValueError(
            f"`positive` of BinaryTask({task.name!r}) never occurs in the training "
            f"labels. Received: {task.positive!r}."
            f"{did_you_mean(task.positive, values)} Values: {shorten(values)}."
        )


def check_same_order(x: Any, values: Any, subject: str) -> None:
    """Refuses a pandas object with the rows of `x` in another order.

    Rows belong together by position, as everywhere in Keras. That two frames hold the
    same rows in two orders is never meant.
    """
    parts = values.values() if isinstance(values, Mapping) else [values]
    for part in parts:
        if _is_reordered(x, part):
            raise ValueError(
                f"Rows of `x` and `{subject}` are matched by position. Received: "
                f"`{subject}` with the index of `x` in another order. Use "
                f"`{subject}.loc[x.index]`, or `{subject}.to_numpy()` if the positions "
                "are right."
            )


def _is_reordered(x: Any, part: Any) -> bool:
    if not isinstance(x, pd.DataFrame) or not isinstance(
        part, pd.DataFrame | pd.Series
    ):
        return False
    return (
        not part.index.equals(x.index)
        and len(part) == len(x)
        and x.index.is_unique
        and part.index.is_unique
        and bool(part.index.isin(x.index).all())
    )


def _weight_columns(x: Any, sample_weight: Any) -> Any:
    """Replaces names of columns by the columns."""
    if isinstance(sample_weight, str):
        return _weight_column(x, sample_weight)
    if isinstance(sample_weight, Mapping):
        return {
            task: _weight_column(x, value) if isinstance(value, str) else value
            for task, value in sample_weight.items()
        }
    return sample_weight


def _weight_column(x: Any, name: str) -> Any:
    if not isinstance(x, pd.DataFrame):
        raise ValueError(
            "`sample_weight` may name a column only where `x` is a DataFrame. "
            f"Received: {name!r} with x={type(x).__name__}."
        )
    if name not in x.columns:
        raise ValueError(
            f"`sample_weight` names no column of the frame. Received: {name!r}."
            f"{did_you_mean(name, x.columns)} Columns: {shorten(x.columns)}."
        )
    return x[name]
