"""Checks that a part of your own keeps the contracts of kmtl: run them in your tests.

Each raises `AssertionError` that says which property fails. All draw from the global
Keras seed and set it. And data of which it is known how the tasks are related,
`make_related_tasks`.

Example:
    >>> import kmtl
    >>> kmtl.testing.check_loss(kmtl.losses.Pinball(tau=0.9))
"""

from kmtl.testing._balancing import check_balancing
from kmtl.testing._layer import check_layer
from kmtl.testing._loss import check_loss
from kmtl.testing._metric import check_metric
from kmtl.testing._regularizer import check_regularizer
from kmtl.testing._related_tasks import RelatedTasks, make_related_tasks
from kmtl.testing._sharing import check_sharing
from kmtl.testing._trunk import check_trunk

__all__ = [
    "RelatedTasks",
    "check_balancing",
    "check_layer",
    "check_loss",
    "check_metric",
    "check_regularizer",
    "check_sharing",
    "check_trunk",
    "make_related_tasks",
]
