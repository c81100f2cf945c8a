"""What several penalties do with stacked weights."""

from collections.abc import Collection, Sequence

import keras
import numpy as np
from keras import ops

from kmtl._checks import did_you_mean, shorten
from kmtl._typing import Tensor


def as_stack(weights: Tensor) -> Tensor:
    """Returns weights as a tensor of at least 32 bits; the first axis is tasks.

    Raises:
        ValueError: If they are a scalar.
    """
    weights = ops.copy(weights)  # a TensorFlow variable lacks what operations need
    if len(weights.shape) == 0:
        raise ValueError(
            "`weights` must start with a task axis, (tasks, ...). Received: a scalar, "
            f"{weights}."
        )
    is_double = keras.backend.standardize_dtype(weights.dtype) == "float64"
    return weights if is_double else ops.cast(weights, "float32")


def as_matrix(weights: Tensor) -> Tensor:
    """Returns weights as a matrix `(tasks, rest)` of at least 32 bits."""
    stack = as_stack(weights)
    return ops.reshape(stack, (stack.shape[0], -1))


def from_subgradient(weights: Tensor, subgradient: Tensor) -> Tensor:
    """Computes a norm from its subgradient, which becomes the gradient of the result.

    A norm is homogeneous, so `norm(W) = <W, subgradient(W)>` (Euler). At a kink, where
    automatic differentiation gives NaN or nothing useful, the caller chooses: the
    subgradient of least length, which is zero where the weights are.
    """
    return ops.sum(weights * ops.stop_gradient(subgradient))


def quadratic(root: np.ndarray, stack: Tensor) -> Tensor:
    """Returns `tr(W' R' R W)` as `||R W||^2`, which rounding cannot make negative.

    Args:
        root: The matrix `R`, `(any, tasks)`.
        stack: The weights, `(tasks, ...)`.
    """
    product = ops.tensordot(ops.cast(root, stack.dtype), stack, axes=1)
    return ops.sum(ops.square(product))


def check_covers(tasks: Sequence[str], known: Collection[str], subject: str) -> None:
    """Raises `ValueError` for the first task that a setting by name leaves out."""
    for name in tasks:
        if name not in known:
            raise ValueError(
                f"`{subject}` must name every task. Received: no {name!r}."
                f"{did_you_mean(name, known)} It names {shorten(known)}."
            )


def tasks_of(stack: Tensor, tasks: Sequence[str] | None, subject: str) -> Sequence[str]:
    """Returns whose the slices of the weights are.

    Args:
        stack: The weights.
        tasks: Names of the tasks, if they are known.
        subject: The setting by task name that needs them.

    Raises:
        ValueError: If it is not known, or is not about these weights.
    """
    if tasks is None:
        raise ValueError(
            f"`{subject}` is by task name; say which slice of the weights is whose. "
            "Received: tasks=None. Pass `tasks=[...]` or call `for_tasks`; "
            "`kmtl.sharing.Soft` does so itself."
        )
    check_count(stack, len(tasks), subject="weights", by="tasks")
    return tasks


def check_count(array: Tensor, tasks: int, *, subject: str, by: str) -> None:
    """Raises `ValueError` unless an array has as many tasks as another argument.

    Args:
        array: Its first axis is tasks.
        tasks: The number of tasks.
        subject: The argument that the array is.
        by: The argument that has so many tasks.
    """
    if array.shape[0] != tasks:
        raise ValueError(
            f"`{subject}` must start with an axis of {tasks} tasks, as many as `{by}` "
            f"has. Received: shape={tuple(array.shape)}."
        )
