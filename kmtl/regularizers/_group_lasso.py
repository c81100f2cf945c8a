"""The same few inputs for all tasks."""

from typing import Literal, get_args

import keras
from keras import ops

from kmtl._checks import check_choice
from kmtl._typing import Config, Tensor
from kmtl.regularizers._base import ProximalRegularizer
from kmtl.regularizers._weights import (
    as_matrix,
    as_stack,
    from_subgradient,
)

Norm = Literal["l2", "linf"]
Groups = Literal["inputs", "weights"]


@keras.saving.register_keras_serializable(package="kmtl")
class GroupLasso(ProximalRegularizer):
    """Sum over groups of weights of the norm of each group: a group is used or zero.

    A group reaches across tasks, so the tasks agree on what they use. Groups become
    zero exactly only with the proximal step.

    * `groups="inputs"`: all weights of one input, to every unit of every task; a zero
      group drops the input. Slices `[:, ..., i, :]` of a kernel
      `(tasks, ..., in, out)`, `[:, i]` of a matrix.
    * `groups="weights"`: one weight in all tasks, slices `[:, ..., i, o]`.

    Where a norm has no gradient, the least subgradient is taken: 0 for a group of
    zeros; with `"linf"` equal shares for the largest weights.

    Args:
        strength: Factor of the penalty, at least 0.
        norm: `"l2"`, or `"linf"`, the largest absolute value, which makes weights of
            a group equally large.
        groups: `"inputs"` or `"weights"`.

    Raises:
        ValueError: If there is no such norm or kind of groups.

    Example:
        >>> import kmtl, numpy as np
        >>> lasso = kmtl.regularizers.GroupLasso(0.1)
        >>> weights = np.array([[3.0, 0.1], [4.0, 0.0]])  # two tasks, two inputs
        >>> round(float(lasso.penalty(weights)), 6)
        5.1
        >>> np.round(lasso.proximal(weights, 1.0), 6).tolist()
        [[2.4, 0.0], [3.2, 0.0]]

    Reference:
        Obozinski, Taskar and Jordan, "Joint Covariate Selection and Joint Subspace
        Selection for Multiple Classification Problems", Statistics and Computing 20,
        2010, https://doi.org/10.1007/s11222-008-9111-x; Negahban and Wainwright, "Joint
        Support Recovery under High-Dimensional Scaling", NeurIPS 2008 (`"linf"`). The
        papers have one output a task, where both kinds of groups are the same. Groups
        are not weighted by their size: all have the same.
    """

    def __init__(
        self,
        strength: float = 1e-3,
        *,
        norm: Norm = "l2",
        groups: Groups = "inputs",
    ) -> None:
        super().__init__(strength)
        check_choice(norm, get_args(Norm), "norm")
        check_choice(groups, get_args(Groups), "groups")
        self.norm = norm
        self.groups = groups

    def penalty(self, weights: Tensor) -> Tensor:
        kernel, axis = self._kernel(weights)
        rows = _as_rows(ops.moveaxis(kernel, axis, 0))
        subgradient = _unit if self.norm == "l2" else _share_of_largest
        return from_subgradient(rows, subgradient(rows))

    def proximal(self, weights: Tensor, step: Tensor) -> Tensor:
        kernel, axis = self._kernel(weights)
        moved = ops.moveaxis(kernel, axis, 0)
        near = _shrink if self.norm == "l2" else _clip
        rows = near(_as_rows(moved), ops.cast(step, kernel.dtype))
        kernel = ops.moveaxis(ops.reshape(rows, moved.shape), 0, axis)
        return ops.reshape(kernel, weights.shape)

    def _kernel(self, weights: Tensor) -> tuple[Tensor, int]:
        """Returns weights, and the axis of which each position is a group."""
        stack = as_stack(weights)
        if self.groups == "weights" or len(stack.shape) < 3:
            return as_matrix(stack), 1
        return stack, len(stack.shape) - 2

    def get_config(self) -> Config:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "norm": self.norm, "groups": self.groups}


def _as_rows(tensor: Tensor) -> Tensor:
    return ops.reshape(tensor, (tensor.shape[0], -1))


def _length(rows: Tensor) -> Tensor:
    return ops.sqrt(ops.sum(ops.square(rows), axis=1, keepdims=True))


def _unit(rows: Tensor) -> Tensor:
    length = _length(ops.stop_gradient(rows))
    return rows / ops.where(length > 0, length, 1.0)


def _shrink(rows: Tensor, step: Tensor) -> Tensor:
    length = _length(rows)
    kept = length > step
    return rows * ops.where(kept, 1.0 - step / ops.where(kept, length, 1.0), 0.0)


def _share_of_largest(rows: Tensor) -> Tensor:
    size = ops.abs(rows)
    largest = ops.max(size, axis=1, keepdims=True)
    is_largest = ops.cast(size == largest, rows.dtype)
    return ops.sign(rows) * is_largest / ops.sum(is_largest, axis=1, keepdims=True)


def _clip(rows: Tensor, step: Tensor) -> Tensor:
    """Subtracts the projection on the l1 ball of radius `step` (Moreau).

    What remains are the rows, clipped at the level above which they sum to `step`, or
    zero if the whole row sums to less (Duchi et al., ICML 2008).
    """
    descending = -ops.sort(-ops.abs(rows), axis=1)
    counts = ops.arange(1, rows.shape[1] + 1, dtype=rows.dtype)
    levels = (ops.cumsum(descending, axis=1) - step) / counts
    level = ops.maximum(ops.max(levels, axis=1, keepdims=True), 0.0)
    return ops.clip(rows, -level, level)
