"""Copies of a trunk that is not known layer by layer."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kmtl._typing import Tensor
from kmtl.layers import TaskModel
from kmtl.layers._per_task import derive_seed

# Of the spread of a weight: too little to spoil what a given model has learnt, enough
# for copies to part.
_NOISE = 0.01


def copies_of(
    function: Callable[[Any], Tensor],
    x: Any,
    *,
    tasks: Sequence[str],
    same_start: bool,
    seed: int,
    name: str,
    per_task: bool,
) -> Tensor:
    """Applies copies of a trunk, as slices of one layer.

    With `same_start` all copies start from the weights of the trunk. Else the trunk is
    built once a copy; where that gives equal values (a given model, or layers with a
    fixed seed) every copy but the first is moved by a little noise.

    Args:
        function: From a symbolic tensor, or a dict of them, to one.
        x: Its input; with `per_task` with an axis of copies before the last one.
        tasks: Names of the copies.
        same_start: Whether all copies start with equal values.
        seed: Decides the noise and the masks of dropout, together with the names.
        name: Name of the layer.
        per_task: Whether the input has an axis of copies.

    Returns:
        Symbolic tensor `(batch, ..., copies, features)`.
    """
    # By name, so that the order of the copies does not decide what they draw.
    order = sorted(range(len(tasks)), key=tasks.__getitem__)
    template = _template(function, x, per_task)
    layer = TaskModel(template, tasks=tasks, seed=seed, name=name, per_task=per_task)
    outputs = layer(x)
    if same_start or len(tasks) == 1:
        return outputs
    first = _values(template)
    for index in order[1:]:
        values = _values(_template(function, x, per_task))
        if all(map(np.array_equal, values, first)):
            rng = np.random.default_rng(derive_seed(seed, tasks[index]))
            values = [_moved(value, rng) for value in values]
        layer.assign_slice(index, values)
    return outputs


def _template(function: Any, x: Any, per_task: bool) -> keras.Model:
    inputs = keras.tree.map_structure(lambda t: _input_like(t, per_task), x)
    return keras.Model(inputs, function(inputs))


def _input_like(tensor: Tensor, per_task: bool) -> Tensor:
    shape = tensor.shape[1:]
    if per_task:
        shape = (*shape[:-2], shape[-1])
    return keras.Input(shape, dtype=tensor.dtype, name=tensor.name)


def _values(template: keras.Model) -> list[np.ndarray]:
    variables = [*template.trainable_variables, *template.non_trainable_variables]
    return [ops.convert_to_numpy(v) for v in variables]


def _moved(value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if value.ndim < 2 or value.dtype.kind != "f":
        return value
    return value + _NOISE * value.std() * rng.normal(size=value.shape)
