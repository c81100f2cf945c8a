"""Low rank of a stack of kernels in all its axes."""

from typing import Literal, get_args

import keras
import numpy as np
from keras import ops

from kmtl._checks import check_choice
from kmtl._typing import Config, Tensor
from kmtl.regularizers._base import TaskRegularizer
from kmtl.regularizers._trace_norm import trace_norm
from kmtl.regularizers._weights import as_stack

Kind = Literal["tucker", "tt", "laf"]


@keras.saving.register_keras_serializable(package="kmtl")
class TensorTraceNorm(TaskRegularizer):
    """Mean of the trace norms of the matrices that a stack of kernels unfolds to.

    With the task axis last, `(d_1, ..., d_n, tasks)`, the matrices are:

    * `"tucker"`: for every axis, that axis against all others;
    * `"tt"`: for every cut, the axes before it against the axes after it;
    * `"laf"`: the task axis against all others, which is `TraceNorm`.

    The mean gives each of the matrices the weight `1 / number of them`, which the paper
    leaves open; so all three are the trace norm where the stack is a matrix. None but
    `"laf"` has a proximal step in closed form: use `TraceNorm` for one.

    Args:
        strength: Factor of the penalty, at least 0.
        kind: `"tucker"`, `"tt"` or `"laf"`.

    Raises:
        ValueError: If there is no such kind.

    Example:
        >>> import kmtl, numpy as np
        >>> norm = kmtl.regularizers.TensorTraceNorm(0.1, kind="tt")
        >>> round(float(norm.penalty(np.ones((2, 3, 4)))), 4) == round(24**0.5, 4)
        True

    Reference:
        Yang and Hospedales, "Trace Norm Regularised Deep Multi-Task Learning", ICLR
        workshop 2017, https://arxiv.org/abs/1606.04038.
    """

    def __init__(self, strength: float = 1e-3, *, kind: Kind = "tucker") -> None:
        super().__init__(strength)
        check_choice(kind, get_args(Kind), "kind")
        self.kind = kind

    def penalty(self, weights: Tensor) -> Tensor:
        matrices = _unfoldings(as_stack(weights), self.kind)
        return sum(map(trace_norm, matrices)) / len(matrices)

    def get_config(self) -> Config:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "kind": self.kind}


def _unfoldings(stack: Tensor, kind: Kind) -> list[Tensor]:
    tensor = ops.moveaxis(stack, 0, -1) if len(stack.shape) > 1 else stack[None]
    shape = tensor.shape
    if kind == "laf":
        return [ops.reshape(tensor, (-1, shape[-1]))]
    if kind == "tt":
        rows = np.cumprod(shape)[:-1]
        return [ops.reshape(tensor, (int(count), -1)) for count in rows]
    return [
        ops.reshape(ops.moveaxis(tensor, axis, 0), (size, -1))
        for axis, size in enumerate(shape)
    ]
