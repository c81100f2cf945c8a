"""Agreement beyond chance."""

from numbers import Integral
from typing import Any, Literal

import keras
from keras import ops

from kmtl._checks import did_you_mean
from kmtl._typing import Config, Shape, Tensor

_WEIGHTAGES = (None, "linear", "quadratic")
_THRESHOLD = 0.5


@keras.saving.register_keras_serializable(package="kmtl")
class CohenKappa(keras.metrics.Metric):
    """Cohen's kappa: how far predictions and labels agree beyond chance.

    1 is full agreement, 0 what chance gives with the same class frequencies, below 0
    worse than chance. For ordinal classes, `weightage` says what a near miss costs, so
    that 4 for 5 is a smaller error than 1 for 5.

    Args:
        num_classes: Number of classes, at least 2.
        weightage: `None` (every error counts the same), `"linear"` or `"quadratic"` in
            the distance between the two classes.
        name: Name of the metric.
        dtype: Dtype of the counts; by default that of `keras.config.floatx()`.

    Call arguments:
        y_true: Integer labels from 0 to `num_classes - 1`, of shape `(batch,)` or
            `(batch, 1)`. Rows with other labels do not count.
        y_pred: Probabilities (or logits) of shape `(batch, num_classes)`, of which the
            largest is the prediction; for two classes also the probability of class 1,
            of shape `(batch, 1)`, which predicts class 1 above 0.5.
        sample_weight: Weights of shape `(batch,)` or `(batch, 1)`, one number, or
            `None`.

    Returns:
        Scalar tensor: `1 - sum(w * observed) / sum(w * expected)`, with the
        distribution over pairs of classes that was observed and the one that is
        expected by chance, and `w` the cost of a pair. NaN where kappa is not defined:
        with no rows, or if labels and predictions are all of one and the same class.

    Raises:
        ValueError: If an argument is out of its range, or the shapes do not fit.

    Example:
        >>> import kmtl
        >>> kappa = kmtl.metrics.CohenKappa(3, weightage="quadratic")
        >>> predictions = [[0.8, 0.1, 0.1], [0.1, 0.7, 0.2], [0.2, 0.5, 0.3]]
        >>> kappa.update_state([0, 1, 2], predictions)
        >>> round(float(kappa.result()), 4)
        0.6667

    Reference:
        Cohen, "A coefficient of agreement for nominal scales", 1960,
        https://doi.org/10.1177/001316446002000104, and "Weighted kappa", 1968,
        https://doi.org/10.1037/h0026256. Equal to `CohenKappa` of TensorFlow Addons
        0.23, but for a metric that saw no rows: NaN here, 0 there.
    """

    def __init__(
        self,
        num_classes: int,
        weightage: Literal["linear", "quadratic"] | None = None,
        *,
        name: str = "cohen_kappa",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        _check_arguments(num_classes, weightage)
        self.num_classes = int(num_classes)
        self.weightage = weightage
        # Keras reads the best direction from here for `mode="auto"` of its callbacks;
        # there is no public name for it.
        self._direction = "up"
        self.confusion = self.add_weight(
            shape=(num_classes, num_classes), initializer="zeros", name="confusion"
        )

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Adds one batch to the counts; see the class for shapes."""
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        _check_shapes(tuple(y_true.shape), tuple(y_pred.shape), self.num_classes)
        actual = self._one_hot(ops.reshape(y_true, (-1,)))  # (b, c)
        predicted = self._one_hot(_classes(y_pred))  # (b, c)
        if sample_weight is not None:
            weights = ops.cast(sample_weight, self.dtype)
            actual = actual * ops.reshape(weights, (-1, 1))
        self.confusion.assign_add(ops.einsum("ba,bp->ap", actual, predicted))

    def result(self) -> Tensor:
        """Returns kappa of all rows since the last reset."""
        observed = self.confusion / ops.sum(self.confusion)  # 0 / 0 is NaN
        actual, predicted = ops.sum(observed, axis=1), ops.sum(observed, axis=0)
        expected = actual[:, None] * predicted[None, :]
        costs = ops.cast(self._costs(), self.dtype)
        return 1.0 - ops.sum(costs * observed) / ops.sum(costs * expected)

    def get_config(self) -> Config:
        """Returns the arguments of the constructor."""
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "weightage": self.weightage,
        }

    def _one_hot(self, classes: Tensor) -> Tensor:
        return ops.one_hot(
            ops.cast(classes, "int32"), self.num_classes, dtype=self.dtype
        )

    def _costs(self) -> Tensor:
        classes = ops.arange(self.num_classes)
        distance = ops.abs(classes[:, None] - classes[None, :])
        if self.weightage == "linear":
            return distance
        return distance**2 if self.weightage == "quadratic" else distance > 0


def _classes(y_pred: Tensor) -> Tensor:
    """Returns predicted classes of shape `(batch,)`."""
    if y_pred.shape[-1] == 1:
        return ops.reshape(y_pred, (-1,)) > _THRESHOLD
    return ops.argmax(y_pred, axis=-1)


def _check_arguments(num_classes: Any, weightage: Any) -> None:
    if not isinstance(num_classes, Integral) or num_classes < 2:
        raise ValueError(
            "`num_classes` must be an integer of at least 2. "
            f"Received: {num_classes!r}."
        )
    if weightage not in _WEIGHTAGES:
        raise ValueError(
            f"`weightage` must be one of {list(_WEIGHTAGES)}. Received: "
            f"{weightage!r}.{did_you_mean(weightage, _WEIGHTAGES)}"
        )


def _check_shapes(labels: Shape, scores: Shape, num_classes: int) -> None:
    if len(labels) not in (1, 2) or (len(labels) == 2 and labels[-1] not in (1, None)):
        raise ValueError(
            "`y_true` must hold one integer label for each row, of shape (batch,) or "
            f"(batch, 1). Received: shape={labels}. Turn one-hot labels into integers "
            "with `numpy.argmax(y, axis=-1)`."
        )
    widths = (1, 2) if num_classes == 2 else (num_classes,)
    if len(scores) != 2 or scores[-1] not in widths:
        raise ValueError(
            f"`y_pred` must have shape (batch, {num_classes})"
            f"{' or (batch, 1)' if num_classes == 2 else ''}. Received: shape={scores}."
            " Check `num_classes`."
        )
