"""How alike the heads of tasks are that read one representation."""

import functools
from collections.abc import Hashable, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd

from kmtl._head_groups import HeadGroup, condition_name
from kmtl.layers import TakeTasks
from kmtl.model import MTLModel
from kmtl.tasks import MulticlassTask


def head_relation(model: MTLModel) -> pd.DataFrame:
    """Compares what the heads read of the representation, task by task.

    Returns:
        Frame of tasks by tasks; NaN where heads are attached at different places, or a
        task has a head of its own or none.
    """
    names = model.task_names
    relation = pd.DataFrame(np.nan, index=names, columns=names)
    by_place: dict[Hashable, dict[str, np.ndarray]] = {}
    for group in model.outputs_layer.groups:
        if not group.own:
            for index in group.indices:
                place, kernel = _place_and_kernel(model, group, index)
                by_place.setdefault(place, {})[names[index]] = kernel
    for kernels in by_place.values():
        tasks = list(kernels)
        relation.loc[tasks, tasks] = _alike(list(kernels.values()))
    return relation


def _place_and_kernel(
    model: MTLModel, group: HeadGroup, index: int
) -> tuple[Hashable, np.ndarray]:
    """Where a head is attached, and its linear part `(features, outputs)`."""
    hidden = [f"{group.stem}_hidden_{depth}" for depth in range(len(group.hidden))]
    layers = [model.get_layer(name) for name in [*hidden, f"{group.stem}_out"]]
    is_conditional = bool(group.parents)
    conditional = model.get_layer(condition_name(group)) if is_conditional else None
    features = conditional.input[0] if conditional else layers[0].input
    task = model.tasks[index]
    kernels = [_slice(layer, task.name) for layer in layers]
    kernels[0] = kernels[0][: features.shape[-1]]  # what it sees of parents comes after
    kernel = functools.reduce(np.matmul, kernels)
    if isinstance(task, MulticlassTask):  # what all classes share does not count
        kernel = kernel - kernel.mean(axis=1, keepdims=True)
    return _place(model, features, task.name), kernel


def _slice(layer: Any, task: str) -> np.ndarray:
    kernel: np.ndarray = keras.ops.convert_to_numpy(layer.kernel)
    return kernel[layer.tasks.index(task)].astype("float64")


def _place(model: MTLModel, features: Any, task: str) -> Hashable:
    """Names where a head is attached; heads of one place read the same features."""
    mark = model.marks[0]
    if mark.tasks is None:
        return id(features)
    # Per task, and alike only where several tasks take one branch.
    for layer in model.layers:
        if isinstance(layer, TakeTasks) and layer.output is mark.input:
            return layer.taken[mark.tasks.index(task)]
    return task


def _alike(kernels: Sequence[np.ndarray]) -> np.ndarray:
    """Cosines of single columns; else roots of RV coefficients, `(tasks, tasks)`."""
    products = [kernel.T @ kernel for kernel in kernels]
    sizes = np.sqrt([np.linalg.norm(product) for product in products])
    with np.errstate(divide="ignore", invalid="ignore"):
        units = [kernel / size for kernel, size in zip(kernels, sizes, strict=True)]
    alike = np.empty((len(units), len(units)))
    for i, one in enumerate(units):
        for j, other in enumerate(units[: i + 1]):
            product = one.T @ other
            is_single = product.size == 1
            alike[i, j] = product.item() if is_single else np.linalg.norm(product)
            alike[j, i] = alike[i, j]
    return alike
