"""Does sharing help, and which tasks belong together?"""

from kmtl.analysis._compare import compare
from kmtl.analysis._comparison import Comparison
from kmtl.analysis._information_gain import information_gain
from kmtl.analysis._label_correlation import LabelCorrelation, label_correlation
from kmtl.analysis._report import report
from kmtl.analysis._suggest_groups import TaskGroups, suggest_groups
from kmtl.analysis._task_affinity import TaskAffinity, task_affinity
from kmtl.analysis._task_relations import TaskRelations, task_relations

__all__ = [
    "Comparison",
    "LabelCorrelation",
    "TaskAffinity",
    "TaskGroups",
    "TaskRelations",
    "compare",
    "information_gain",
    "label_correlation",
    "report",
    "suggest_groups",
    "task_affinity",
    "task_relations",
]
