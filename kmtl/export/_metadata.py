"""What an export says of itself: a JSON file beside the graph."""

import datetime
import json
import math
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from kmtl._checks import check_mapping, is_number
from kmtl._typing import Config
from kmtl._version import __version__
from kmtl.layers._task_outputs import is_standardized
from kmtl.model import MTLModel
from kmtl.serving._description import description_of

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
        Plain data that JSON keeps exactly: what a client is told, and of each task how
        it was trained: the column of its label, its loss weight, and mean and standard
        deviation of standardised labels.

    Raises:
        TypeError: If `metrics` is no mapping.
        ValueError: If one of the metrics is infinite, or no number.
    """
    told, training = description_of(model), _training(model)
    return {
        "format": told["format"],
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
        "inputs": told["inputs"],
        "tasks": [{**task, **training[task["name"]]} for task in told["tasks"]],
        "parameters": int(model.count_params()),
        "signatures": list(signatures),
        "metrics": _plain_metrics({} if metrics is None else metrics),
    }


def write_metadata(folder: Path, data: Config) -> None:
    """Writes the metadata of a version as `assets.extra/kmtl.json`."""
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    extra = folder / EXTRA
    extra.mkdir(exist_ok=True)
    (extra / "kmtl.json").write_text(text + "\n", encoding="utf-8")


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
