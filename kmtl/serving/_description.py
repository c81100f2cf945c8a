"""What an export says of itself to a client: written and read here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from kmtl._typing import Config
from kmtl.data._inputs import InputSpecs, encode_inputs, raw_arrays, rows_of
from kmtl.features import Column, TabularFeatures
from kmtl.features._columns import column_config
from kmtl.model import MTLModel
from kmtl.tasks import BinaryTask, MulticlassTask, RegressionTask, Task, class_values

FORMAT = 1
"""Grows when a reader of an older format would misread what is written."""

_KINDS = (BinaryTask, MulticlassTask, RegressionTask)


def description_of(model: MTLModel) -> Config:
    """Describes what a client needs: inputs to convert a frame to, and tasks.

    Vocabularies stay in the graph: of a column only the first entry is given, which
    tells text from integers.

    Returns:
        Plain data that JSON keeps exactly.
    """
    tasks = [_task_config(model, task) for task in model.tasks if not task.auxiliary]
    return {"format": FORMAT, "inputs": _input_configs(model), "tasks": tasks}


@dataclass(frozen=True)
class Description:
    """Inputs and tasks of a served model.

    Args:
        tasks: The tasks that are predicted, in the order of the outputs.
        features: The columns of a model that was built on a table, without what only
            the server needs of them; `None` for a model on arrays.
        specs: Shape (without rows) and dtype of each input.
    """

    tasks: tuple[Task, ...]
    features: TabularFeatures | None
    specs: InputSpecs

    @classmethod
    def from_text(cls, text: str | bytes) -> Self:
        """Reads what the signature `describe` answers.

        Raises:
            ValueError: If a newer kmtl wrote it, or something else.
        """
        try:
            config = json.loads(text)
            _check_format(config["format"])
            inputs, tasks = config["inputs"], config["tasks"]
            return cls(
                tasks=tuple(map(_task, tasks)),
                features=_features([i["column"] for i in inputs if i["column"]]),
                specs={i["name"]: (tuple(i["shape"]), i["dtype"]) for i in inputs},
            )
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(
                "The signature 'describe' must answer what `kmtl.export_saved_model` "
                f"writes. Received: {text[:200]!r}."
            ) from error

    def inputs(self, x: Any) -> dict[str, np.ndarray]:
        """Converts a frame or arrays to what the server takes, as the model does.

        Raises:
            TypeError: If the form of `x`, or a column, is not what the model takes.
            ValueError: If something is missing or wrong.
        """
        if self.features is not None:
            return raw_arrays(x, self.features)
        arrays: Mapping[str, np.ndarray] = encode_inputs(x, self.specs, None)
        rows_of(arrays)
        return {n: a.astype(self.specs[n][1], copy=False) for n, a in arrays.items()}


def _input_configs(model: MTLModel) -> list[Config]:
    if model.features is not None:
        return [
            {
                "name": column.name,
                "dtype": column.serving_dtype,
                "shape": [],
                "column": _short_config(column),
            }
            for column in model.features.columns
        ]
    return [
        {
            "name": name,
            "dtype": str(tensor.dtype),
            "shape": list(tensor.shape[1:]),
            "column": None,
        }
        for name, tensor in model.named_inputs.items()
    ]


def _short_config(column: Column) -> Config:
    config = column_config(column)
    emptied: Config = {key: [] for key in ("values", "edges") if key in config}
    if "vocabulary" in config:
        emptied["vocabulary"] = config["vocabulary"][:1]
    return {**config, **emptied}


def _features(columns: list[Config]) -> TabularFeatures | None:
    return TabularFeatures.from_config({"columns": columns}) if columns else None


def _task_config(model: MTLModel, task: Task) -> Config:
    return {
        "name": task.name,
        "kind": next(kind.__name__ for kind in _KINDS if isinstance(task, kind)),
        "classes": _classes(task),
        "unit": task.unit if isinstance(task, RegressionTask) else None,
        "shape": list(model.output[task.name].shape[1:]),
    }


def _classes(task: Task) -> list[Any] | None:
    if not isinstance(task, BinaryTask | MulticlassTask):
        return None
    return list(class_values(task)) or None


def _task(config: Config) -> Task:
    name, classes = config["name"], config["classes"]
    if config["kind"] == "BinaryTask":
        return BinaryTask(name, classes=classes)
    if config["kind"] == "MulticlassTask":
        return MulticlassTask(name, classes=classes)
    return RegressionTask(name)


def _check_format(number: int) -> None:
    if number > FORMAT:
        raise ValueError(
            "The model was exported by a newer kmtl: upgrade this one. Received: "
            f"format {number}; up to {FORMAT} is known."
        )
