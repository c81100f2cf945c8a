"""Penalties of soft parameter sharing: they draw the weights of tasks together.

Each is a Keras regularizer of a tensor whose first axis is tasks: for the towers of
`kmtl.sharing.Soft`, or as `kernel_regularizer=` of `kmtl.layers.TaskDense`.

Example:
    >>> import kmtl
    >>> sharing = kmtl.sharing.Soft(kmtl.regularizers.MeanL2(0.01))
"""

from kmtl.regularizers._base import ProximalRegularizer, TaskRegularizer
from kmtl.regularizers._graph_laplacian import GraphLaplacian
from kmtl.regularizers._group_lasso import GroupLasso
from kmtl.regularizers._hierarchical import Hierarchical
from kmtl.regularizers._mean_l2 import MeanL2
from kmtl.regularizers._task_covariance import TaskCovariance
from kmtl.regularizers._tensor_trace_norm import TensorTraceNorm
from kmtl.regularizers._trace_norm import TraceNorm

__all__ = [
    "GraphLaplacian",
    "GroupLasso",
    "Hierarchical",
    "MeanL2",
    "ProximalRegularizer",
    "TaskCovariance",
    "TaskRegularizer",
    "TensorTraceNorm",
    "TraceNorm",
]
