"""What an export says of itself: a JSON file beside the graph."""

import datetime
import json
import math
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from kmtl._checks import check_mapping, is_number
from kmtl._typing import Config
from kmtl._version import __version__
from kmtl.features import Column
from kmtl.features._columns import column_config
from kmtl.layers._task_outputs import is_standardized
from kmtl.model import MTLModel
from kmtl.tasks import BinaryTask, MulticlassTask, RegressionTask, Task, class_values

FORMAT = 1
"""Grows when a reader of an older format would misread what is written."""

EXTRA = "assets.extra"
"""The folder of a version that servers leave alone."""


def metadata(
    model: MTLModel,
    *,
    signatures: Sequence[str],
    metrics: Mapping[str, float] | None = None,
) -> Config:
    """Describes an export, for programs and for the model card.

    Args:
        model: The model.
        signatures: The names of its signatures.
        metrics: What `model.evaluate(data, return_dict=True)` gave, to be kept with the
            model. NaN, which JSON lacks, becomes null.

    Returns:
        Plain data that JSON keeps exactly: what `client_metadata` gives, and of each
        task how it was trained: the column of its label, its loss weight, and mean and
        standard deviation of standardised labels.

    Raises:
        TypeError: If `metrics` is no mapping.
        ValueError: If one of the metrics is infinite, or no number.
    """
    client = client_metadata(model)
    training = _training(model)
    return {
        "format": FORMAT,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
        "inputs": client["inputs"],
        "tasks": [{**task, **training[task["name"]]} for task in client["tasks"]],
        "parameters": int(model.count_params()),
        "signatures": list(signatures),
        "metrics": _plain_metrics({} if metrics is None else metrics),
    }


def client_metadata(model: MTLModel) -> Config:
    """Describes what a client needs: inputs to convert a frame to, and tasks.

    Vocabularies stay in the graph: of a column only the first entry is given, which
    tells text from integers.

    Returns:
        Plain data that JSON keeps exactly.
    """
    return {"format": FORMAT, "inputs": _inputs(model), "tasks": _tasks(model)}


def write_metadata(folder: Path, data: Config) -> None:
    """Writes the metadata of a version as `assets.extra/kmtl.json`."""
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    extra = folder / EXTRA
    extra.mkdir(exist_ok=True)
    (extra / "kmtl.json").write_text(text + "\n", encoding="utf-8")


def _inputs(model: MTLModel) -> list[Config]:
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


def _tasks(model: MTLModel) -> list[Config]:
    return [
        {
            "name": task.name,
            "kind": _kind(task),
            "classes": _classes(task),
            "unit": task.unit if isinstance(task, RegressionTask) else None,
            "shape": list(model.output[task.name].shape[1:]),
        }
        for task in model.tasks
        if not task.auxiliary
    ]


def _kind(task: Task) -> str:
    kinds = (BinaryTask, MulticlassTask, RegressionTask)
    return next(kind.__name__ for kind in kinds if isinstance(task, kind))


def _classes(task: Task) -> list[Any] | None:
    if not isinstance(task, BinaryTask | MulticlassTask):
        return None
    return list(class_values(task)) or None


def _training(model: MTLModel) -> dict[str, Config]:
    """How each task was trained, by name."""
    mean, scale = model.outputs_layer.label_statistics_on_host()
    weights = dict(model.loss_weights)
    return {
        task.name: {
            "label": task.column,
            "loss_weight": weights[task.name],
            "mean": float(mean[index]) if is_standardized(task) else None,
            "scale": float(scale[index]) if is_standardized(task) else None,
        }
        for index, task in enumerate(model.tasks)
    }


def _versions() -> dict[str, str]:
    packages = {"keras": keras, "tensorflow": tf, "numpy": np, "pandas": pd}
    return {
        "kmtl": __version__,
        **{name: package.__version__ for name, package in packages.items()},
        "python": platform.python_version(),
    }


def _plain_metrics(metrics: Mapping[str, float]) -> dict[str, float | None]:
    check_mapping(metrics, "metrics", "numbers by name, as `evaluate` returns")
    for name, value in metrics.items():
        if not isinstance(name, str) or not is_number(value) or math.isinf(value):
            raise ValueError(
                "`metrics` must hold finite numbers, or NaN, by name; take "
                "`model.evaluate(data, return_dict=True)`. "
                f"Received: {{{name!r}: {value!r}}}."
            )
    return {
        name: None if math.isnan(value) else float(value)
        for name, value in metrics.items()
    }
