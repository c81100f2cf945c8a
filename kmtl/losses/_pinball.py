"""Quantile regression."""

from numbers import Real
from typing import Any

import keras
from keras import ops

from kmtl._typing import Config, Shape, Tensor


@keras.saving.register_keras_serializable(package="kmtl")
class Pinball(keras.losses.Loss):
    """Pinball loss: the prediction that minimises it is the `tau` quantile.

    For one value `max(tau * (y_true - y_pred), (tau - 1) * (y_true - y_pred))`, then
    the mean over the last axis. With `tau=0.9` being too low costs nine times as much
    as being too high; `tau=0.5` is half the absolute error, and gives the median.

    Args:
        tau: The quantile, above 0 and below 1.
        reduction: How the losses of the rows become one number, as for every Keras
            loss.
        name: Name of the loss.
        dtype: Dtype of the computation; by default that of `keras.config.floatx()`.

    Call arguments:
        y_true: Tensor of shape `(..., values)`; `(...)` where `y_pred` is `(..., 1)`.
        y_pred: Tensor of shape `(..., values)`; `(batch,)` is taken as `(batch, 1)`.
        sample_weight: Tensor of shape `(...)` or one that broadcasts to it, or `None`.

    Returns:
        Scalar tensor; with `reduction=None` one of shape `(...)`, so that
        `(batch, tasks, 1)` gives one loss for each row and task.

    Raises:
        ValueError: If `tau` is not between 0 and 1, or the shapes do not fit.

    Example:
        >>> import numpy as np
        >>> import kmtl
        >>> loss = kmtl.losses.Pinball(tau=0.9)
        >>> low, high = np.array([[8.0]]), np.array([[10.0]])
        >>> round(float(loss(high, low)), 4), round(float(loss(low, high)), 4)
        (1.8, 0.2)

    Reference:
        Koenker and Bassett, "Regression Quantiles", Econometrica 46, 1978,
        https://www.jstor.org/stable/1913643. Equal to `PinballLoss` of TensorFlow
        Addons 0.23.
    """

    def __init__(
        self,
        tau: float = 0.5,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str = "pinball",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        _check_tau(tau)
        self.tau = float(tau)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        y_true, y_pred = _align(y_true, y_pred)
        error = y_true - y_pred
        return ops.mean(
            ops.maximum(self.tau * error, (self.tau - 1.0) * error), axis=-1
        )

    def get_config(self) -> Config:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "tau": self.tau, "dtype": self.dtype}


def _check_tau(tau: Any) -> None:
    if not isinstance(tau, Real) or not 0 < float(tau) < 1:
        raise ValueError(
            "`tau` must be one quantile, above 0 and below 1. "
            f"Received: {tau!r}. For several quantiles make one task for each."
        )


def _align(y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """Gives both one shape: plain broadcasting would compare all rows with all."""
    if len(y_pred.shape) == 1:
        y_pred = ops.expand_dims(y_pred, -1)
    if len(y_true.shape) == len(y_pred.shape) - 1 and y_pred.shape[-1] == 1:
        y_true = ops.expand_dims(y_true, -1)
    if not _may_be_equal(tuple(y_true.shape), tuple(y_pred.shape)):
        raise ValueError(
            "`y_true` and `y_pred` must have the same shape. Received: "
            f"y_true.shape={y_true.shape}, y_pred.shape={y_pred.shape}. Give labels of "
            "shape (batch, values)."
        )
    return y_true, y_pred


def _may_be_equal(one: Shape, other: Shape) -> bool:
    return len(one) == len(other) and all(
        None in pair or pair[0] == pair[1] for pair in zip(one, other, strict=True)
    )
