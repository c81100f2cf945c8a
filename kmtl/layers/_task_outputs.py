"""The last layer: stacked logits in, one named output a task."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kmtl._checks import check_known_keys, check_weight
from kmtl._head_groups import HeadGroup
from kmtl._typing import ByTask, Config, Shape, Tensor
from kmtl.features import TabularFeatures
from kmtl.features._moments import Moments
from kmtl.layers._state import add_state
from kmtl.layers._wide import wide_dtype
from kmtl.tasks import BinaryTask, MulticlassTask, RegressionTask, Task

# The most numbers that a processor takes at once.
_PADDING = 16


@keras.saving.register_keras_serializable(package="kmtl")
class TaskOutputs(keras.layers.Layer):
    """Turns the stacked outputs of the head groups into `{task name: output}`.

    Probabilities for binary and multiclass tasks, values in the label's own unit for
    regressions; auxiliary tasks are left out. The layer also carries what a model must
    not lose on saving: the task specifications and the features in its config; loss
    weights, label statistics and frozen tasks as variables.

    Args:
        tasks: The task specifications, in the order of the model.
        groups: The head groups, one an input tensor.
        features: The features of the table the model is built on, if any.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: A list with one tensor a group: `(batch, tasks, units)`, or
            `(batch, ..., units)` from a head of a task's own.

    Returns:
        A dict from task name to a tensor of shape `(batch, ..., units)`.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        groups: Sequence[HeadGroup],
        features: TabularFeatures | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"dtype": wide_dtype(), **kwargs})
        self.tasks = tuple(tasks)
        self.groups = tuple(groups)
        self.features = features

    def build(self, input_shape: Sequence[Shape]) -> None:
        self.input_shapes = [tuple(shape) for shape in input_shape]
        loss_weights = [task.loss_weight for task in self.tasks]
        # NaN until label statistics are known: an output that cannot be mistaken.
        mean = np.array([np.nan if is_standardized(t) else 0.0 for t in self.tasks])
        self.loss_weights = add_state(self, "loss_weights", loss_weights)
        self.label_mean = add_state(self, "label_mean", mean, dtype="float64")
        self.label_scale = add_state(self, "label_scale", mean + 1.0, dtype="float64")
        self.frozen = add_state(self, "frozen", np.zeros(len(self.tasks)))
        self.frozen_shared = add_state(self, "frozen_shared", np.zeros(1))

    def call(self, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
        outputs: dict[int, Tensor] = {}
        for group, logits in zip(self.groups, inputs, strict=True):
            outputs |= self.outputs_of(group, logits)
        return self.by_name(outputs)

    def outputs_of(self, group: HeadGroup, logits: Tensor) -> dict[int, Tensor]:
        """Turns the logits of one group into outputs by position of the task.

        Args:
            group: One of `groups`, or one with some of its tasks only.
            logits: Its logits, as in a call.
        """
        activated = self._activate(group, self._stacked(group, logits))
        # One step, however many tasks there are.
        slices = ops.unstack(activated, len(group.indices), axis=1)
        return dict(zip(group.indices, slices, strict=True))

    def by_name(self, outputs: Mapping[int, Any]) -> dict[str, Any]:
        """Names what is keyed by position; auxiliary tasks are left out."""
        return {
            task.name: outputs[index]
            for index, task in enumerate(self.tasks)
            if not task.auxiliary
        }

    def stack(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Gives every group's logits a task axis and the dtype of losses.

        Returns:
            One tensor `(batch, tasks, ..., units)` a group.
        """
        return [
            self._stacked(group, logits)
            for group, logits in zip(self.groups, inputs, strict=True)
        ]

    def _stacked(self, group: HeadGroup, logits: Tensor) -> Tensor:
        wide = ops.cast(logits, self.compute_dtype)
        return ops.expand_dims(wide, 1) if group.own else wide

    def activate(self, stacked: Sequence[Tensor]) -> list[Tensor]:
        """Maps stacked logits to probabilities, and values to the label's unit."""
        return [
            self._activate(group, logits)
            for group, logits in zip(self.groups, stacked, strict=True)
        ]

    def _activate(self, group: HeadGroup, logits: Tensor) -> Tensor:
        first = self.tasks[group.indices[0]]
        if isinstance(first, BinaryTask | MulticlassTask):
            return _probabilities(first, logits, is_stack=not group.own)
        shape = (1, len(group.indices)) + (1,) * (len(logits.shape) - 2)
        scale, mean = (
            ops.reshape(ops.cast(v, logits.dtype), shape)
            for v in self.label_statistics(group)
        )
        return logits * scale + mean

    def activate_own(self, own: Sequence[Tensor], tasks: Tensor) -> list[Tensor]:
        """Maps logits to outputs where each row belongs to one task.

        Args:
            own: Logits `(rows, 1, units)`, one tensor a group.
            tasks: The task of each row by position, `(rows,)`.
        """
        scale, mean = (
            ops.cast(ops.take(value, tasks), self.compute_dtype)[:, None, None]
            for value in (self.label_scale, self.label_mean)
        )
        outputs = []
        for group, logits in zip(self.groups, own, strict=True):
            first, wide = self.tasks[group.indices[0]], ops.cast(logits, scale.dtype)
            if isinstance(first, BinaryTask | MulticlassTask):
                outputs.append(_probabilities(first, wide, is_stack=True))
            else:
                outputs.append(wide * scale + mean)
        return outputs

    def label_statistics(self, group: HeadGroup) -> tuple[Tensor, Tensor]:
        """Returns scale and mean of the labels of a group, each `(tasks,)`."""
        indices = list(group.indices)
        return (
            ops.take(self.label_scale, indices),
            ops.take(self.label_mean, indices),
        )

    def assign_loss_weights(self, loss_weights: ByTask) -> None:
        """Changes the loss weights of some tasks, without a recompile.

        Raises:
            ValueError: For an unknown task or a weight that is not finite and >= 0.
        """
        names = [task.name for task in self.tasks]
        check_known_keys(loss_weights, names, "loss_weights")
        values = dict(zip(names, ops.convert_to_numpy(self.loss_weights), strict=True))
        for name, value in loss_weights.items():
            check_weight(value, f"loss_weights[{name!r}]")
            values[name] = value
        self.loss_weights.assign([float(values[name]) for name in names])

    def label_statistics_on_host(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns mean and scale of the labels of all tasks as float64 arrays."""
        return (
            ops.convert_to_numpy(self.label_mean),
            ops.convert_to_numpy(self.label_scale),
        )

    def unadapted(self) -> list[str]:
        """Names of the tasks whose label statistics are not known yet."""
        unknown = np.isnan(ops.convert_to_numpy(self.label_mean))
        return [t.name for t, u in zip(self.tasks, unknown, strict=True) if u]

    def adapt_labels(
        self, encoded: Sequence[np.ndarray], *, only_unknown: bool = False
    ) -> None:
        """Sets mean and standard deviation of the labels of standardised tasks.

        Args:
            encoded: The labels of every task, NaN where missing. A task without any
                keeps what it has.
            only_unknown: Whether tasks whose statistics are known keep them.
        """
        self.adapt_moments(self.label_moments(encoded), only_unknown=only_unknown)

    def label_moments(self, encoded: Sequence[np.ndarray]) -> list[Moments]:
        """Returns the moments of labels of every task; none where not standardised.

        Args:
            encoded: As of `adapt_labels`.
        """
        return [
            Moments.of(labels[~np.isnan(labels)])
            if is_standardized(task)
            else Moments()
            for task, labels in zip(self.tasks, encoded, strict=True)
        ]

    def adapt_moments(
        self, moments: Sequence[Moments], *, only_unknown: bool = False
    ) -> None:
        """Sets mean and standard deviation of labels from their moments by task."""
        names = self.unadapted() if only_unknown else [t.name for t in self.tasks]
        mean, scale = (array.copy() for array in self.label_statistics_on_host())
        for index, (task, found) in enumerate(zip(self.tasks, moments, strict=True)):
            if found.count and task.name in names:
                mean[index] = found.mean
                # Constant labels are centred only.
                scale[index] = found.deviation or 1.0
        self.label_mean.assign(mean)
        self.label_scale.assign(scale)

    def label_shape(self, index: int) -> Shape:
        """The shape of one row's labels of a task: `()` for a built-in head."""
        for group, shape in zip(self.groups, self.input_shapes, strict=True):
            if group.own and index in group.indices:
                is_vector = isinstance(self.tasks[index], RegressionTask)
                whole = is_vector and shape[-1] != 1
                return shape[1:] if whole else shape[1:-1]
        return ()

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> dict[str, Shape]:
        shapes: dict[int, Shape] = {}
        for group, shape in zip(self.groups, input_shape, strict=True):
            for index in group.indices:
                rest = shape[1:] if group.own else shape[2:]
                shapes[index] = (shape[0], *rest)
        return self.by_name(shapes)

    def get_config(self) -> Config:
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "tasks": [serialize(task) for task in self.tasks],
            "groups": [group.get_config() for group in self.groups],
            "features": self.features and self.features.get_config(),
        }

    @classmethod
    def from_config(cls, config: Config) -> "TaskOutputs":
        config = dict(config)
        restore = keras.saving.deserialize_keras_object
        features = config.pop("features")
        return cls(
            tasks=[restore(task) for task in config.pop("tasks")],
            groups=[HeadGroup.from_config(g) for g in config.pop("groups")],
            features=features and TabularFeatures.from_config(features),
            **config,
        )


def _probabilities(task: Task, logits: Tensor, *, is_stack: bool) -> Tensor:
    # An exponential is rounded differently where the vectors of the processor end
    # inside a tensor. Rows of zeros move that place out of the stack, so that a task
    # does not depend on how many others are in it.
    rows = ops.shape(logits)[0]
    if is_stack:
        logits = ops.concatenate(
            [logits, ops.zeros((_PADDING, *logits.shape[1:]), logits.dtype)]
        )
    is_binary = isinstance(task, BinaryTask)
    outputs = ops.sigmoid(logits) if is_binary else ops.softmax(logits, axis=-1)
    return outputs[:rows]


def is_standardized(task: Task) -> bool:
    """Whether a task is trained on standardised labels."""
    return isinstance(task, RegressionTask) and task.standardize
