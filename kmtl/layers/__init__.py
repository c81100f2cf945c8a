"""Keras layers on the task axis, and the layers that trunks and features need.

Every layer is serialisable and part of the saved format; their names are for ever.

Example:
    >>> import kmtl
    >>> kmtl.layers.TaskDense(2, tasks=["a", "b"]).units
    2
"""

from kmtl.layers._add_own_experts import AddOwnExperts
from kmtl.layers._attention_mask import AttentionMask
from kmtl.layers._average_maps import AverageMaps
from kmtl.layers._condition import Condition, NothingGiven
from kmtl.layers._copy_for_tasks import CopyForTasks
from kmtl.layers._coupling import Coupling
from kmtl.layers._fold_tasks import FoldTasks, UnfoldTasks
from kmtl.layers._merge_tasks import MergeTasks, SplitTasks
from kmtl.layers._mix_experts import MixExperts, MixOwnExperts
from kmtl.layers._mix_stages import MixStages
from kmtl.layers._modulate_tasks import ModulateTasks
from kmtl.layers._per_task import PerTask
from kmtl.layers._product_logits import ProductLogits
from kmtl.layers._representation import Representation
from kmtl.layers._scale_image import ScaleImage
from kmtl.layers._select_experts import SelectExperts
from kmtl.layers._shared_gate import SharedGate
from kmtl.layers._shared_tensor import SharedTensor
from kmtl.layers._stacked import StackedLayer
from kmtl.layers._stitch_tasks import StitchTasks
from kmtl.layers._streams import SplitShared, StreamsToExperts
from kmtl.layers._tabular_embedding import TabularEmbedding
from kmtl.layers._take_tasks import TakeTasks
from kmtl.layers._task_conv2d import TaskConv2D
from kmtl.layers._task_dense import TaskDense
from kmtl.layers._task_gate import TaskGate
from kmtl.layers._task_model import TaskModel
from kmtl.layers._task_normalization import (
    TaskBatchNormalization,
    TaskLayerNormalization,
)
from kmtl.layers._task_outputs import TaskOutputs
from kmtl.layers._weights_view import SharingWeights

__all__ = [
    "AddOwnExperts",
    "AttentionMask",
    "AverageMaps",
    "Condition",
    "CopyForTasks",
    "Coupling",
    "FoldTasks",
    "MergeTasks",
    "MixExperts",
    "MixOwnExperts",
    "MixStages",
    "ModulateTasks",
    "NothingGiven",
    "PerTask",
    "ProductLogits",
    "Representation",
    "ScaleImage",
    "SelectExperts",
    "SharedGate",
    "SharedTensor",
    "SharingWeights",
    "SplitShared",
    "SplitTasks",
    "StackedLayer",
    "StitchTasks",
    "StreamsToExperts",
    "TabularEmbedding",
    "TakeTasks",
    "TaskBatchNormalization",
    "TaskConv2D",
    "TaskDense",
    "TaskGate",
    "TaskLayerNormalization",
    "TaskModel",
    "TaskOutputs",
    "UnfoldTasks",
]
