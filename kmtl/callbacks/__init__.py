"""Callbacks for `MTLModel.fit`. All of Keras' own work too.

Example:
    >>> import kmtl
    >>> callback = kmtl.callbacks.LossWeightSchedule(lambda epoch: {"a": 0.5**epoch})
    >>> callback.schedule(1)
    {'a': 0.5}
"""

from kmtl.callbacks._combined_score import CombinedScore
from kmtl.callbacks._gradient_conflict import GradientConflict
from kmtl.callbacks._loss_weight_schedule import LossWeightSchedule
from kmtl.callbacks._sharing_strength import SharingStrength
from kmtl.callbacks._task_affinity import TaskAffinity
from kmtl.callbacks._task_board import TaskBoard

__all__ = [
    "CombinedScore",
    "GradientConflict",
    "LossWeightSchedule",
    "SharingStrength",
    "TaskAffinity",
    "TaskBoard",
]
