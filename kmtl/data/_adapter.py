"""One door for frames, arrays and datasets: inputs and packed labels come out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kmtl._checks import did_you_mean, shorten
from kmtl._typing import ByTask
from kmtl.data._inputs import InputSpecs, encode_inputs, rows_of
from kmtl.data._pack import Packed, Packer, effective_class_weight
from kmtl.data._resolve import label_column
from kmtl.features import TabularFeatures


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
    ) -> tuple[dict[str, np.ndarray], Packed]:
        """Encodes inputs and packs labels.

        Args:
            x: A frame, an array or a dict of arrays.
            y: Labels by task name; `None` takes them from the columns of the frame.
            sample_weight: Weights, or the name of a column that holds them.
            class_weight: Class weights by task name.
            training: Whether class weights count and every task needs a label.

        Returns:
            Inputs by name and packed labels.
        """
        inputs = encode_inputs(x, self.specs, self.features)
        rows = rows_of(inputs)
        labels = self.labels(x, y)
        encoded = self.packer.encode(labels, rows)
        if training:
            self._check_labelled(labels, encoded)
        factors = effective_class_weight(self.packer.tasks, class_weight)
        packed = self.packer.pack(
            encoded,
            sample_weight=_weight_columns(x, sample_weight),
            class_weight=factors if training else None,
        )
        return inputs, packed

    def labels(self, x: Any, y: Any) -> dict[str, Any]:
        """Finds the labels of each task in `y` or in the columns of a frame."""
        tasks = self.packer.tasks
        if y is None:
            if not isinstance(x, pd.DataFrame):
                raise ValueError(
                    "`y` must be given unless `x` is a DataFrame with the label "
                    f"columns. Received: x={type(x).__name__}, y=None."
                )
            return {task.name: label_column(task, x) for task in tasks}
        if isinstance(y, pd.DataFrame):
            columns = {task.column: task.name for task in tasks}
            names = {task.name for task in tasks}
            return {n if n in names else columns.get(n, n): y[n] for n in y.columns}
        if isinstance(y, Mapping):
            return dict(y)
        if len(tasks) == 1:
            return {tasks[0].name: y}
        raise ValueError(
            "`y` must be a dict or a DataFrame with labels by task name. "
            f"Received: {type(y).__name__}. Tasks: {shorten(t.name for t in tasks)}."
        )

    def _check_labelled(
        self, labels: Mapping[str, Any], encoded: Sequence[np.ndarray]
    ) -> None:
        for task, column in zip(self.packer.tasks, encoded, strict=True):
            if labels.get(task.name) is not None and np.isnan(column).all():
                raise ValueError(
                    f"Every label of task {task.name!r} is missing. Received: "
                    f"{len(column)} rows. Leave the task out of `y` to train without "
                    "it."
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
