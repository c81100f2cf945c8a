"""The part of a model that one task needs, on the variables of the model."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras

from kmtl._checks import check_known_keys
from kmtl._typing import Tensor
from kmtl.layers import StackedLayer, TakeTasks
from kmtl.model import MTLModel
from kmtl.surgery._part import Part
from kmtl.surgery._rebuild import representation_of
from kmtl.surgery._slices import removed, unchanged
from kmtl.tasks import ProductTask


def one_task(model: MTLModel, name: str) -> Callable[[Any], Tensor]:
    """Returns a function from the inputs of a model to the output of one task.

    It computes `model(x, training=False)[name]` without the heads, towers, gates and
    experts of other tasks, except for the parents of the task: those it is conditioned
    on, and the factors of a product. Nothing is copied. The function reads slices of
    the variables of the model, so it follows their values, and a SavedModel holds them
    once. Where tasks read each other's slices (stitches that are not 0, gates over the
    experts of all tasks), or where a layer of a sharing does not tell, the encoder runs
    whole.

    Args:
        model: The model, which stays as it is.
        name: Name of a task that is predicted.

    Returns:
        A function of encoded inputs, as `model` takes them, to `(batch, ...)` in the
        dtype of the outputs of the model. Make it outside of a `tf.function`, and call
        it inside of one.

    Raises:
        ValueError: If no task of this name is predicted.

    Example:
        >>> import kmtl, numpy as np
        >>> model = kmtl.build_mtl_model((8,), [kmtl.BinaryTask(n) for n in "ab"])
        >>> x = np.ones((4, 8), "float32")
        >>> output = one_task(model, "b")(x)
        >>> tuple(output.shape), bool(np.all(output == model(x)["b"]))
        ((4, 1), True)
    """
    predicted = [task.name for task in model.tasks if not task.auxiliary]
    check_known_keys([name], predicted, "name")
    layer, index = model.outputs_layer, model.task_names.index(name)
    every = zip(layer.groups, model.stacked_logits(), strict=True)
    group, logits = next(pair for pair in every if index in pair[0].indices)
    group = dataclasses.replace(group, indices=(index,))
    part = _part(model, logits, _needed(model, name))

    def predict(x: Any) -> Tensor:
        # Nothing is written, and no loss is collected.
        with keras.StatelessScope(state_mapping=part.state()):
            return layer.outputs_of(group, part.graph(x, training=False))[index]

    return predict


def _needed(model: MTLModel, name: str) -> set[str]:
    """Names of a task and of all tasks whose outputs its head needs."""
    parents = {task.name: task.parents for task in model.tasks}
    needed, found = set(), [name]
    while found:
        task = found.pop()
        needed.add(task)
        found += [parent for parent in parents[task] if parent not in needed]
    return needed


def _part(model: MTLModel, logits: Tensor, needed: set[str]) -> Part:
    """Leaves out other slices: those of the heads, and where it can, of the encoder."""
    slices = representation_of(model).tasks
    # A product has no head, so nothing reads a tower of its own.
    products = {task.name for task in model.tasks if isinstance(task, ProductTask)}
    used = needed - products
    others = {*model.task_names, *(slices or ())} - used
    heads = removed(*others)
    if slices is not None and not _may_be_read(model, others, slices):
        kept = [place for place, name in enumerate(slices) if name in used]
        less = removed(*others, *_copies_of_others(model, kept))
        with contextlib.suppress(ValueError):  # the slices cannot be told apart
            return Part(
                model, logits, slices=slices, heads=heads, encoder=less, kept=kept
            )
    return Part(model, logits, slices=slices, heads=heads, encoder=unchanged)


def _may_be_read(model: MTLModel, names: Iterable[str], slices: Sequence[str]) -> bool:
    """Whether a layer reads slices of these tasks for others, or may do so."""
    for layer in model.encoder.layers:
        if isinstance(layer, StackedLayer) and any(map(layer.is_read, names)):
            return True
        # Slices for the representation are taken by place; any others are not known.
        if isinstance(layer, TakeTasks) and (
            isinstance(layer.taken, str) or len(layer.taken) != len(slices)
        ):
            return True
    return False


def _copies_of_others(model: MTLModel, kept: Sequence[int]) -> list[str]:
    """Copies of a branch of which nothing is taken for the slices that stay."""
    return [
        copy
        for layer in model.encoder.layers
        if isinstance(layer, TakeTasks)
        for copy in layer.tasks
        if copy not in {layer.taken[place] for place in kept}
    ]
