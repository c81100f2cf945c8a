"""What the penalties of soft parameter sharing have in common."""

import abc
from collections.abc import Sequence
from typing import Self

import keras

from kmtl._checks import check_weight
from kmtl._typing import Config, Tensor


class TaskRegularizer(keras.regularizers.Regularizer, abc.ABC):
    """A penalty on weights whose first axis is tasks: derive your own from it.

    A subclass says what `penalty` is. `kmtl.testing.check_regularizer` checks it.

    Args:
        strength: Factor of the penalty, at least 0. The loss of a task is a mean over
            rows, so a strength that a paper gives for sums over rows is larger by the
            number of rows.

    Call arguments:
        weights: Tensor of shape `(tasks, ...)`, of rank 1 or more.

    Returns:
        Scalar tensor: `strength * penalty(weights)`.

    Raises:
        ValueError: If `strength` is no finite number of at least 0.

    Example:
        >>> import keras, kmtl
        >>> @keras.saving.register_keras_serializable("docs")
        ... class MeanL1(kmtl.regularizers.TaskRegularizer):
        ...     def penalty(self, weights):
        ...         mean = keras.ops.mean(weights, axis=0)
        ...         return keras.ops.sum(keras.ops.abs(weights - mean))
        >>> float(MeanL1(0.5)(keras.ops.array([[1.0, 2.0], [3.0, 2.0]])))
        1.0
    """

    def __init__(self, strength: float = 1e-3) -> None:
        check_weight(strength, "strength")
        self.strength = float(strength)

    @abc.abstractmethod
    def penalty(self, weights: Tensor) -> Tensor:
        """Returns the penalty without the strength.

        Args:
            weights: Tensor of shape `(tasks, ...)`.

        Returns:
            Scalar tensor of the same dtype, float32 for 16-bit weights.
        """

    def __call__(self, weights: Tensor) -> Tensor:
        return self.strength * self.penalty(weights)

    def for_tasks(self, names: Sequence[str]) -> Self:
        """Returns the regularizer for weights of these tasks, in this order.

        Args:
            names: Names of the tasks.

        Returns:
            This regularizer, or a new one where it depends on which task is which.

        Raises:
            ValueError: If a setting by task name leaves out one of them.
        """
        del names
        return self

    def get_config(self) -> Config:
        """Returns the arguments of the constructor."""
        return {"strength": self.strength}


class ProximalRegularizer(TaskRegularizer):
    """A penalty whose proximal step has a closed form.

    A gradient comes near exact zeros or an exact low rank and never reaches them; the
    proximal step after each step of the optimizer does.
    """

    @abc.abstractmethod
    def proximal(self, weights: Tensor, step: Tensor) -> Tensor:
        """Returns the `V` that minimises `||V - weights||^2 / 2 + step * penalty(V)`.

        Args:
            weights: Tensor of shape `(tasks, ...)`.
            step: Scalar, at least 0: the strength times the learning rate.

        Returns:
            Tensor of the shape of `weights`.
        """
