"""Keras layers on the task axis, and the layers that trunks and features need.

Every layer is serialisable and part of the saved format; their names are for ever.

Example:
    >>> import kmtl
    >>> kmtl.layers.TaskDense(2, tasks=["a", "b"]).units
    2
"""

from kmtl.layers._per_task import PerTask
from kmtl.layers._representation import Representation
from kmtl.layers._scale_image import ScaleImage
from kmtl.layers._tabular_embedding import TabularEmbedding
from kmtl.layers._task_dense import TaskDense
from kmtl.layers._task_outputs import TaskOutputs

__all__ = [
    "PerTask",
    "Representation",
    "ScaleImage",
    "TabularEmbedding",
    "TaskDense",
    "TaskOutputs",
]
