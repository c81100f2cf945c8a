"""Learned relations of tasks."""

from collections.abc import Sequence

import keras
import numpy as np
import pandas as pd
from keras import ops

from kmtl._typing import Tensor
from kmtl.regularizers._base import TaskRegularizer
from kmtl.regularizers._spectrum import polar_factor
from kmtl.regularizers._trace_norm import trace_norm
from kmtl.regularizers._weights import as_matrix, check_count


@keras.saving.register_keras_serializable(package="kmtl")
class TaskCovariance(TaskRegularizer):
    """Learns how tasks relate: `min over C of tr(W' C^-1 W)`, `C >= 0`, `tr C = 1`.

    `W` is the matrix `(tasks, rest)` of the weights. The best covariance `C` is
    `(W W')^(1/2)` over its trace, and the minimum the square of the trace norm
    of `W`: that is what is penalised. `covariance` reads `C`, with negative entries
    for tasks that oppose each other.

    Differs from the paper, which alternates between `C` and `W`: with more tasks than
    features `C` is singular, and the alternation stops before the minimum (School data,
    139 tasks, 28 features: an objective 4 % above it).

    Args:
        strength: Factor of the penalty, at least 0.

    Example:
        >>> import kmtl, numpy as np
        >>> regularizer = kmtl.regularizers.TaskCovariance(0.1)
        >>> weights = np.array([[1.0, 0.0], [-1.0, 0.0]])
        >>> round(float(regularizer.penalty(weights)), 6)
        2.0
        >>> regularizer.covariance(weights, ["a", "b"]).round(6)
             a    b
        a  0.5 -0.5
        b -0.5  0.5

    Reference:
        Zhang and Yeung, "A Convex Formulation for Learning Task Relationships in
        Multi-Task Learning", UAI 2010, https://arxiv.org/abs/1203.3536; the square is
        that of Argyriou et al., "Convex Multi-Task Feature Learning", 2008.
    """

    def penalty(self, weights: Tensor) -> Tensor:
        return ops.square(trace_norm(as_matrix(weights)))

    def covariance(
        self, weights: Tensor, tasks: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Returns the covariance of tasks that fits the weights best.

        Args:
            weights: Tensor of shape `(tasks, ...)`.
            tasks: Names of the tasks; by default their positions.

        Returns:
            Table `(tasks, tasks)` of trace 1. Zero weights say nothing of relations:
            the identity over the number of tasks.

        Raises:
            ValueError: If the number of names is not that of the tasks.
        """
        matrix = ops.cast(as_matrix(weights), "float64")
        count = matrix.shape[0]
        names = list(range(count)) if tasks is None else list(tasks)
        check_count(matrix, len(names), subject="weights", by="tasks")
        # U V' times W' = V S U' is U S U', the root of W W'.
        root = ops.matmul(polar_factor(matrix), ops.transpose(matrix))
        values = ops.convert_to_numpy(root)
        trace = np.trace(values)
        values = values / trace if trace else np.eye(count) / count
        return pd.DataFrame(values, index=names, columns=names)
