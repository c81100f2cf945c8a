"""Which weights of a model train several tasks, and which one task alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kmtl._hold import NOBODY
from kmtl._parts import Parts
from kmtl._training._graph import Graph
from kmtl.layers import MixExperts, SharedGate, SharedTensor, StitchTasks


@dataclass(frozen=True)
class TrainedWeight:
    """A trainable variable of a model.

    Attributes:
        variable: The variable.
        shared: Which slices, or whether the whole, is shared by several tasks.
    """

    variable: Any
    shared: bool | np.ndarray


def trained_weights(model: Parts, graph: Graph) -> list[TrainedWeight]:
    """Tells for each trainable variable of a model what of it tasks share.

    What belongs to one task is shared too where others read it, as they do the towers
    of cross-stitch networks. `graph` is that of the encoder.
    """
    mixed = [tensor for operation in graph.operations for tensor in _mixed(operation)]
    read = graph.behind(mixed)
    all_read = bool(mixed) and not graph.is_whole
    # Several operations may hold one variable: a layer and the list it is in.
    shared: dict[int, bool | np.ndarray] = {}
    for layer in model.encoder.layers:
        for part in model.parts_of(layer):
            owners = np.asarray(part.owners)
            is_shared = (owners == NOBODY) | (id(layer) in read) | all_read
            shared[id(part.variable)] = _plain(is_shared)
    return [
        TrainedWeight(variable, shared.get(id(variable), False))
        for variable in model.trainable_variables
    ]


def _plain(shared: np.ndarray) -> bool | np.ndarray:
    uniform = shared.all() or not shared.any()
    return bool(shared.all()) if uniform else shared


def _mixed(operation: Any) -> list[Any]:
    """The tensors behind which weights reach the losses of all tasks."""
    if isinstance(operation, MixExperts):
        return [operation.input[0]]  # not the gates: each task has its own
    if isinstance(operation, SharedGate):
        return [operation.output]  # a gate for all tasks, though by slices of theirs
    return [operation.input] if isinstance(operation, StitchTasks) else []


def all_pass_shared_tensors(
    model: Parts, graph: Graph, weights: Sequence[TrainedWeight]
) -> bool:
    """Whether shared weights reach the losses through the shared tensors alone."""
    beyond = graph.behind(
        model.encoder.outputs, stop=lambda op: isinstance(op, SharedTensor)
    )
    shared = {id(w.variable) for w in weights if np.any(w.shared)}
    reached = [
        variable
        for operation in beyond.values()
        if isinstance(operation, keras.layers.Layer)
        for variable in operation.trainable_variables
    ]
    return graph.is_whole and not shared & {id(variable) for variable in reached}
