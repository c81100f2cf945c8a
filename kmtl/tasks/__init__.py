"""Task specifications: frozen data that knows nothing of any graph.

Example:
    >>> import kmtl
    >>> kmtl.BinaryTask("buy", condition_on="click").condition_on
    ('click',)
"""

from kmtl.tasks._auxiliary import AuxiliaryTask
from kmtl.tasks._check_tasks import check_tasks
from kmtl.tasks._classification import BinaryTask, MulticlassTask, class_values
from kmtl.tasks._product import ProductTask
from kmtl.tasks._regression import RegressionTask
from kmtl.tasks._task import Task

__all__ = [
    "AuxiliaryTask",
    "BinaryTask",
    "MulticlassTask",
    "ProductTask",
    "RegressionTask",
    "Task",
    "check_tasks",
    "class_values",
]
