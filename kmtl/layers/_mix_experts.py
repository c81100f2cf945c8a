"""Weighted sums of experts."""

from collections.abc import Sequence

import keras
from keras import ops

from kmtl._typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="kmtl")
class MixExperts(keras.layers.Layer):
    """Gives each task a weighted sum of all experts.

    Call arguments:
        inputs: `[experts, gates]`: tensors of shape `(batch, ..., experts, features)`
            and `(batch, tasks, experts)`.

    Returns:
        Tensor of shape `(batch, ..., tasks, features)`.

    Example:
        >>> import kmtl, numpy as np
        >>> experts, gates = np.zeros((4, 3, 8)), np.zeros((4, 2, 3))
        >>> tuple(kmtl.layers.MixExperts()([experts, gates]).shape)
        (4, 2, 8)
    """

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        return _mix(*inputs)

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        experts, gates = input_shape
        return (*experts[:-2], gates[-2], experts[-1])


@keras.saving.register_keras_serializable(package="kmtl")
class MixOwnExperts(keras.layers.Layer):
    """Gives each task a weighted sum of its own experts and of the shared ones.

    A task takes nothing of another task's experts: there is no weight that could say
    so, and the cost is linear in the number of tasks.

    Call arguments:
        inputs: `[own, shared, gates]`, or `[own, gates]` without shared experts:
            tensors of shape `(batch, ..., tasks * own, features)`, the experts of the
            first task first, `(batch, ..., shared, features)` and
            `(batch, tasks, own + shared)`.

    Returns:
        Tensor of shape `(batch, ..., tasks, features)`.

    Example:
        >>> import kmtl, numpy as np
        >>> own, shared, gates = (np.zeros((4, n, 8)) for n in (6, 1, 2))
        >>> tuple(kmtl.layers.MixOwnExperts()([own, shared, np.zeros((4, 2, 4))]).shape)
        (4, 2, 8)

    Reference:
        Tang et al., "Progressive Layered Extraction (PLE)", RecSys 2020, section 4.1.
    """

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        own, *shared, gates = inputs
        if not shared:
            return _mix_own(own, gates)
        count = own.shape[-2] // gates.shape[-2]
        of_own, of_shared = ops.split(gates, [count], axis=-1)
        return _mix_own(own, of_own) + _mix(shared[0], of_shared)

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        own, *_, gates = input_shape
        return (*own[:-2], gates[-2], own[-1])


def _mix(experts: Tensor, gates: Tensor) -> Tensor:
    return ops.matmul(_with_positions(gates, len(experts.shape)), experts)


def _mix_own(own: Tensor, gates: Tensor) -> Tensor:
    tasks, count = gates.shape[-2:]
    gates = _with_positions(gates, len(own.shape))
    if count == 1:
        return own * gates
    sizes = ops.shape(own)
    by_task = ops.reshape(own, (-1, *sizes[1:-2], tasks, count, sizes[-1]))
    return ops.sum(by_task * gates[..., None], axis=-2)


def _with_positions(gates: Tensor, rank: int) -> Tensor:
    """Puts an axis of 1 for each position between batch and experts, as on a map."""
    return ops.reshape(gates, (-1, *(1,) * (rank - 3), *gates.shape[-2:]))
