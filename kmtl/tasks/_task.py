"""What every kind of task has: frozen data that knows nothing of any graph.

A task says what is predicted and how its errors count. Cross-field checks run on
construction, so an invalid task cannot exist. What is found in training data (the
classes) is set once by `dataclasses.replace` and then fixed.
"""

import dataclasses
from collections.abc import Hashable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, Self

import keras

from kmtl._checks import (
    as_plain,
    as_tuple,
    check_label_value,
    check_task_name,
    check_unique,
    check_units,
    check_weight,
)
from kmtl._keras_gaps import serialize_loss
from kmtl._typing import Config, LossLike, MetricLike

_KERAS_FIELDS = ("loss", "metrics")


@dataclass(frozen=True)
class Task:
    """The fields that every kind of task has; abstract, use one of the kinds.

    Args:
        name: Names the head, the output, the logs and the serving key. Letters,
            digits, `_`, `.` and `-`, starting with a letter or a digit.
        label: Column of the label in a frame. Defaults to `name`.
        loss: A Keras loss, its name, or a callable `(y_true, y_pred)` that returns
            one value a row. Built-in losses are computed from logits inside; a
            custom one receives what `predict` returns (standardised, for a
            standardised regression). Defaults by kind.
        loss_weight: The initial weight of the task in the total loss.
        metrics: Keras metrics, their names, or callables; a sequence. Defaults by
            kind. The names `"auc"`, `"accuracy"`, `"mae"`, `"mse"`, `"rmse"` and
            `"r2"` are computed for all tasks at once.
        head_units: Widths of the hidden layers of the head; `None` takes the
            builder's.
        head: A head of the task's own: a Keras layer, a list of layers, a model or
            a callable, which gets the representation as it is, of any rank (where
            it is per task, the slice of this one), and returns logits (binary,
            multiclass) or values (regression).
        missing: A label value that means "not labelled", besides NaN, None and
            `pd.NA`: a string, a number or a truth value. TensorFlow's strings cannot
            be None: use `missing=""` there.
        condition_on: Names of other tasks, one or several, that the head sees besides
            the representation. In training it sees their labels, where there are any
            (teacher forcing); without a label, and always outside training, their
            predictions: a probability, one a class, or a standardised value. No
            gradient goes through them. Chains of tasks are fine (classifier chains:
            Read et al., Machine Learning 85, 2011), circles are not.
        only_if: Name of a binary task: the label counts, in loss and metrics, only
            where the label of that task is positive, and is missing elsewhere.
        auxiliary: Whether the task helps to train the others and is not predicted;
            see `kmtl.AuxiliaryTask`.
    """

    name: str
    _: KW_ONLY
    label: str | None = None
    loss: LossLike | None = None
    loss_weight: float = 1.0
    metrics: Sequence[MetricLike] | None = None
    head_units: Sequence[int] | None = None
    head: Any = field(default=None, hash=False)
    missing: Hashable = None
    condition_on: str | Sequence[str] = ()
    only_if: str | None = None
    auxiliary: bool = False

    default_loss: ClassVar[str]
    default_metrics: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        if type(self) is Task:
            raise TypeError(
                "`Task` is abstract; use BinaryTask, MulticlassTask or RegressionTask."
            )
        check_task_name(self.name)
        if not isinstance(self.column, str):
            raise ValueError(
                f"`label` of task {self.name!r} must be the name of a column. "
                f"Received: {self.label!r}."
            )
        if not isinstance(self.only_if, str | None):
            raise ValueError(
                f"`only_if` of task {self.name!r} must be the name of a task. "
                f"Received: {self.only_if!r}."
            )
        if isinstance(self.condition_on, str):
            object.__setattr__(self, "condition_on", (self.condition_on,))
        freeze(self, "metrics", "head_units", "condition_on")
        check_unique(self.condition_on, f"condition_on of task {self.name!r}")
        freeze_value(self, "missing")
        check_weight(self.loss_weight, f"loss_weight of task {self.name!r}")
        object.__setattr__(self, "loss_weight", float(self.loss_weight))
        if self.head_units is not None:
            check_units(self.head_units, f"head_units of task {self.name!r}")
        if self.head is not None and self.head_units is not None:
            raise ValueError(
                f"Task {self.name!r} has both `head` and `head_units`; give the hidden "
                f"layers inside `head`. Received: head_units={self.head_units!r}."
            )

    @property
    def column(self) -> str:
        """The column that holds the label in a frame."""
        return self.name if self.label is None else self.label

    @property
    def parents(self) -> tuple[str, ...]:
        """Names of the tasks whose outputs the output of this one is computed from."""
        return tuple(self.condition_on)

    @property
    def units(self) -> int:
        """Width of the output of a built-in head."""
        return 1

    def get_config(self) -> Config:
        """Returns the fields as plain data; `head` is part of the graph, not of it."""
        config = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "head"
        }
        config["loss"] = serialize_loss(config["loss"])
        config["metrics"] = keras.saving.serialize_keras_object(config["metrics"])
        if config.get("class_weight") is not None:  # JSON keys are strings: keep pairs
            config["class_weight"] = list(config["class_weight"].items())
        return config

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Rebuilds a task from `get_config`."""
        config = dict(config)
        for name in _KERAS_FIELDS:
            config[name] = keras.saving.deserialize_keras_object(config[name])
        if config.get("class_weight") is not None:
            config["class_weight"] = dict(config["class_weight"])
        return cls(**config)


def freeze(task: Task, *fields: str) -> None:
    """Turns list-valued fields into tuples, so that a task can be hashed and shared."""
    for name in fields:
        value = getattr(task, name)
        if value is not None:
            values = as_tuple(value, f"{name} of task {task.name!r}")
            object.__setattr__(task, name, values)


def freeze_value(task: Task, name: str) -> None:
    """Checks a field that is one label value, or none."""
    value = as_plain(getattr(task, name))
    if value is not None:
        check_label_value(value, f"{name} of task {task.name!r}")
    object.__setattr__(task, name, value)
