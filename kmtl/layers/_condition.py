"""What a head sees of other tasks."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kmtl._typing import Config, Shape, Tensor
from kmtl.layers._wide import wide_dtype


@keras.saving.register_keras_serializable(package="kmtl")
class NothingGiven(keras.layers.Layer):
    """Says that no label is known: NaN for every row and column.

    It stands in the graph where a training step puts labels, so that a model has no
    input for them.

    Args:
        columns: How many labels a row could have.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, ...)`, of which only the number of rows counts.

    Returns:
        Tensor of shape `(batch, columns)` full of NaN, float32 unless told otherwise.

    Example:
        >>> import kmtl, numpy as np
        >>> kmtl.layers.NothingGiven(2)(np.zeros((1, 8))).numpy()
        array([[nan, nan]], dtype=float32)
    """

    def __init__(self, columns: int, **kwargs: Any) -> None:
        super().__init__(**{"dtype": wide_dtype(), **kwargs})
        self.columns = columns

    def call(self, inputs: Tensor) -> Tensor:
        shape = (ops.shape(inputs)[0], self.columns)
        return ops.full(shape, float("nan"), dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.columns)

    def get_config(self) -> Config:
        return {**super().get_config(), "columns": self.columns}


@keras.saving.register_keras_serializable(package="kmtl")
class Condition(keras.layers.Layer):
    """Appends what is known of parent tasks to the features of a head.

    The signal of a parent is its label where that is given, else its prediction. No
    gradient goes through the prediction: the loss of a child must not bend a parent
    towards being a useful input, which training on labels never asks for.

    Args:
        columns: For each parent its column in `given`.
        activations: For each parent what makes a prediction of its logits: `"sigmoid"`
            (a probability), `"softmax"` (one a class, the label is one-hot) or
            `"linear"` (a standardised value).
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: A list: features `(batch, ..., features)`; labels given,
            `(batch, columns)`, NaN where not; then the logits of each parent,
            `(batch, units)`.

    Returns:
        Tensor of shape `(batch, ..., features + units of all parents)`.

    Reference:
        Read et al., "Classifier chains for multi-label classification", Machine
        Learning 85, 2011. A chain there always sees labels in training; here the
        prediction stands in for a missing one.

    Example:
        >>> import kmtl, numpy as np
        >>> features, logits = np.zeros((2, 1)), np.zeros((2, 1))
        >>> given = np.array([[1.0], [np.nan]])
        >>> kmtl.layers.Condition([0], ["sigmoid"])([features, given, logits]).numpy()
        array([[0. , 1. ],
               [0. , 0.5]], dtype=float32)
    """

    def __init__(
        self, columns: Sequence[int], activations: Sequence[Any], **kwargs: Any
    ) -> None:
        # Not cast on the way in: float16 cannot hold the ids of many classes.
        super().__init__(**{"autocast": False, **kwargs})
        self.columns = tuple(columns)
        self.activations = tuple(map(keras.activations.get, activations))

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        features, given, *logits = inputs
        features = ops.cast(features, self.compute_dtype)
        parents = zip(self.columns, self.activations, logits, strict=True)
        signals = [_signal(given[:, i], activation(z)) for i, activation, z in parents]
        signal = ops.cast(ops.concatenate(signals, axis=-1), features.dtype)
        between = (1,) * (len(features.shape) - 2)
        signal = ops.reshape(signal, (-1, *between, signal.shape[-1]))
        shape = (*ops.shape(features)[:-1], signal.shape[-1])
        return ops.concatenate([features, ops.broadcast_to(signal, shape)], axis=-1)

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        features, _, *logits = input_shape
        return (*features[:-1], sum(shape[-1] or 0 for shape in (features, *logits)))

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "columns": list(self.columns),
            "activations": [keras.activations.serialize(a) for a in self.activations],
        }


def _signal(label: Tensor, prediction: Tensor) -> Tensor:
    """Returns `(batch, units)`: the label where there is one, else the prediction."""
    units = prediction.shape[-1]
    missing = ops.isnan(label)
    label = ops.where(missing, ops.zeros_like(label), label)
    if units == 1:
        value = ops.expand_dims(label, -1)
    else:
        value = ops.one_hot(ops.cast(label, "int32"), units, dtype=label.dtype)
    prediction = ops.cast(ops.stop_gradient(prediction), value.dtype)
    return ops.where(ops.expand_dims(missing, -1), prediction, value)
