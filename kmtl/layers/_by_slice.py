"""Which layers keep the slices of tasks apart."""

from typing import Any

import keras

from kmtl.layers._average_maps import AverageMaps
from kmtl.layers._condition import NothingGiven
from kmtl.layers._coupling import Coupling
from kmtl.layers._fold_tasks import FoldTasks
from kmtl.layers._merge_tasks import MergeTasks, SplitTasks
from kmtl.layers._mix_experts import MixExperts, MixOwnExperts
from kmtl.layers._shared_tensor import SharedTensor
from kmtl.layers._streams import SplitShared, StreamsToExperts

# Layers of this package, and those of Keras that trunks and sharings put on stacks.
_BY_SLICE = (
    AverageMaps,
    Coupling,
    FoldTasks,
    MergeTasks,
    MixExperts,
    MixOwnExperts,
    NothingGiven,
    SharedTensor,
    SplitShared,
    SplitTasks,
    StreamsToExperts,
    keras.layers.Activation,
    keras.layers.Add,
    keras.layers.Dropout,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.MaxPooling2D,
    keras.layers.Multiply,
    keras.layers.Permute,
    keras.layers.ReLU,
    keras.layers.Reshape,
    keras.layers.SpatialDropout2D,
)


def works_by_slice(layer: Any) -> bool:
    """Whether a layer works on each slice alone, however many, without naming them."""
    return isinstance(layer, _BY_SLICE)
