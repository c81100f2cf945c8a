"""Any Keras loss as a function of stacked labels and logits, one value a row and task.

Most Keras losses reduce the last axis only, so they take all tasks of a group at once.
A loss that is not known to do so is called once a task, on that task's slice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from kmtl._keras_gaps import loss_config
from kmtl._typing import LossLike, Tensor
from kmtl.losses import Pinball
from kmtl.tasks import BinaryTask, MulticlassTask, Task

_K = keras.losses
_FROM_LOGITS = (
    _K.BinaryCrossentropy,
    _K.BinaryFocalCrossentropy,
    _K.CategoricalCrossentropy,
    _K.CategoricalFocalCrossentropy,
    _K.SparseCategoricalCrossentropy,
)
_ONE_HOT = (
    _K.CategoricalCrossentropy,
    _K.CategoricalFocalCrossentropy,
    _K.CategoricalHinge,
    _K.KLDivergence,
)
_BY_FUNCTION = {
    _K.binary_crossentropy: _K.BinaryCrossentropy,
    _K.binary_focal_crossentropy: _K.BinaryFocalCrossentropy,
    _K.categorical_crossentropy: _K.CategoricalCrossentropy,
    _K.categorical_focal_crossentropy: _K.CategoricalFocalCrossentropy,
    _K.sparse_categorical_crossentropy: _K.SparseCategoricalCrossentropy,
    _K.mean_squared_error: _K.MeanSquaredError,
    _K.mean_absolute_error: _K.MeanAbsoluteError,
    _K.mean_absolute_percentage_error: _K.MeanAbsolutePercentageError,
    _K.mean_squared_logarithmic_error: _K.MeanSquaredLogarithmicError,
    _K.huber: _K.Huber,
    _K.log_cosh: _K.LogCosh,
    _K.poisson: _K.Poisson,
    _K.squared_hinge: _K.SquaredHinge,
    _K.hinge: _K.Hinge,
    _K.categorical_hinge: _K.CategoricalHinge,
    _K.kl_divergence: _K.KLDivergence,
}
# Losses whose `call` reduces the last axis and nothing else.
_LAST_AXIS = frozenset({*_BY_FUNCTION.values(), Pinball})


@dataclass(frozen=True)
class RowLoss:
    """The loss of some tasks of one head group.

    Attributes:
        loss: A Keras loss or a callable.
        kind: The class of the tasks.
        name: Names the first task in messages.
        stacked: Whether the loss takes all tasks at once.
    """

    loss: Any
    kind: type[Task]
    name: str
    stacked: bool

    def __call__(self, labels: Tensor, logits: Tensor, outputs: Tensor) -> Tensor:
        """Computes one loss a labelled element.

        Args:
            labels: Tensor `(batch, tasks, ...)`, without missing values.
            logits: Tensor `(batch, tasks, ..., units)`.
            outputs: What a loss of the user's sees in place of logits: the same shape,
                probabilities or standardised values.

        Returns:
            Tensor `(batch, tasks, ...)`.
        """
        predicted = logits if type(self.loss) in _FROM_LOGITS else outputs
        truth = self._truth(labels, predicted)
        if self.stacked:
            return self._compute(truth, predicted, labels[:, 0].shape)
        columns = [
            self._compute(truth[:, i], predicted[:, i], labels[:, i].shape)
            for i in range(labels.shape[1])
        ]
        return ops.stack(columns, axis=1)

    def _truth(self, labels: Tensor, predicted: Tensor) -> Tensor:
        if self.kind is not MulticlassTask:
            return ops.expand_dims(labels, -1)
        classes = ops.cast(labels, "int32")
        if type(self.loss) in _ONE_HOT:
            return ops.one_hot(classes, predicted.shape[-1], dtype=predicted.dtype)
        return classes

    def _compute(self, truth: Tensor, predicted: Tensor, shape: Any) -> Tensor:
        function = self.loss.call if isinstance(self.loss, _K.Loss) else self.loss
        values = ops.convert_to_tensor(function(truth, predicted))
        if self.stacked:
            return values
        if len(values.shape) == len(shape) + 1 and values.shape[-1] == 1:
            values = ops.squeeze(values, -1)
        if len(values.shape) != len(shape):
            raise ValueError(
                f"The loss of task {self.name!r} must return one value a row (shape "
                f"{tuple(shape)}), so that rows without a label can be left out; leave "
                f"the mean over rows to kmtl. Received: shape={tuple(values.shape)}."
            )
        return values


def row_losses(tasks: Sequence[Task]) -> list[tuple[list[int], RowLoss]]:
    """Collects the tasks of a head group that share a loss.

    Returns:
        Pairs of positions in the group and their loss.
    """
    positions: dict[object, list[int]] = {}
    losses: dict[object, RowLoss] = {}
    for position, task in enumerate(tasks):
        loss = _resolve(task)
        key = repr((type(loss), loss_config(loss))) if _is_stackable(loss) else position
        positions.setdefault(key, []).append(position)
        losses.setdefault(
            key, RowLoss(loss, type(task), task.name, _is_stackable(loss))
        )
    return [(positions[key], losses[key]) for key in positions]


def _is_stackable(loss: Any) -> bool:
    return type(loss) in _LAST_AXIS


def _resolve(task: Task) -> Any:
    """Turns a loss name, function or object into the form used here."""
    loss: LossLike = task.default_loss if task.loss is None else task.loss
    try:
        loss = keras.losses.get(loss)
    except ValueError as error:
        raise ValueError(
            f"`loss` of task {task.name!r} must be a Keras loss, its name or a "
            f"callable. Received: {loss!r}."
        ) from error
    if loss in _BY_FUNCTION:
        loss = _BY_FUNCTION[loss]()
    if not _fits(task, type(loss)):
        raise ValueError(
            f"`loss` of {type(task).__name__}({task.name!r}) does not fit its kind. "
            f"Received: {type(loss).__name__}. Default: {task.default_loss!r}."
        )
    if type(loss) in _FROM_LOGITS:
        return type(loss).from_config({**loss.get_config(), "from_logits": True})
    return loss


def _fits(task: Task, loss_class: type) -> bool:
    """Whether a loss of Keras is one for this kind of task; others may do anything."""
    categorical = (*_ONE_HOT, _K.SparseCategoricalCrossentropy)
    if isinstance(task, MulticlassTask):
        return loss_class in categorical or loss_class not in _LAST_AXIS
    if isinstance(task, BinaryTask):
        return loss_class not in categorical
    return loss_class not in (*categorical, *_FROM_LOGITS)
