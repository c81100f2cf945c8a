"""Task specifications: frozen data that knows nothing of any graph.

A task says what is predicted and how its errors count. Cross-field checks run on
construction, so an invalid task cannot exist. What is found in training data (the
classes) is set once by `dataclasses.replace` and then fixed.
"""

import dataclasses
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import KW_ONLY, dataclass, field
from numbers import Integral
from typing import Any, ClassVar, Self

import keras

from kmtl._checks import (
    as_plain,
    as_tuple,
    check_class_weight,
    check_label_value,
    check_task_name,
    check_unique,
    check_units,
    check_weight,
    shorten,
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
            a callable, which gets the representation as it is, of any rank, and
            returns logits (binary, multiclass) or values (regression).
        missing: A label value that means "not labelled", besides NaN, None and
            `pd.NA`: a string, a number or a truth value. TensorFlow's strings cannot
            be None: use `missing=""` there.
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
        _freeze(self, "metrics", "head_units")
        _freeze_value(self, "missing")
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


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class BinaryTask(Task):
    """A yes-or-no label; `predict` gives the probability of `positive`.

    Args:
        name: See `Task`, as for the fields it shares with the other kinds.
        positive: The label value that counts as 1. Not needed for 0/1 and booleans.
        classes: The two values `(negative, positive)`. Usually found in the training
            frame and used to name predictions.
        class_weight: Factors of the training loss by label value, e.g.
            `{"no": 1.0, "yes": 5.0}`, or by 0 and 1.

    Raises:
        ValueError: If a field is not valid on its own or beside another.

    Example:
        >>> import kmtl
        >>> task = kmtl.BinaryTask("rich", label="income", positive="50000+.")
        >>> task.column
        'income'
    """

    _: KW_ONLY
    positive: Hashable = None
    classes: Sequence[Hashable] | None = None
    class_weight: Mapping[Hashable, float] | None = field(default=None, hash=False)

    default_loss: ClassVar[str] = "binary_crossentropy"
    default_metrics: ClassVar[tuple[str, ...]] = ("auc",)

    def __post_init__(self) -> None:
        super().__post_init__()
        _freeze(self, "classes")
        _freeze_class_weight(self)
        _freeze_value(self, "positive")
        _check_classes(self)
        if self.positive is not None and self.positive == self.missing:
            raise ValueError(
                f"`positive` and `missing` of BinaryTask({self.name!r}) must differ. "
                f"Received: {self.positive!r} for both."
            )
        if self.classes is None:
            return
        if len(self.classes) != 2 or self.classes[0] == self.classes[1]:
            raise ValueError(
                f"`classes` of BinaryTask({self.name!r}) must be two different values, "
                f"(negative, positive). Received: {self.classes!r}."
            )
        if self.positive is not None and self.positive != self.classes[1]:
            raise ValueError(
                f"`positive` of BinaryTask({self.name!r}) must be the second of "
                f"`classes`. Received: positive={self.positive!r}, "
                f"classes={self.classes!r}."
            )


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class MulticlassTask(Task):
    """One class out of several; `predict` gives the probability of each class.

    Args:
        name: See `Task`, as for the fields it shares with the other kinds.
        classes: The label values in the order of the output columns, or their number
            when labels are already `0 ... n-1`. Found in the training frame when
            the model is built from one.
        class_weight: Factors of the training loss by label value.

    Raises:
        ValueError: If a field is not valid on its own or beside another.

    Example:
        >>> import kmtl
        >>> kmtl.MulticlassTask("digit", classes=10).classes
        (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
    """

    _: KW_ONLY
    classes: Sequence[Hashable] | int | None = None
    class_weight: Mapping[Hashable, float] | None = field(default=None, hash=False)

    default_loss: ClassVar[str] = "sparse_categorical_crossentropy"
    default_metrics: ClassVar[tuple[str, ...]] = ("accuracy",)

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.classes
        if isinstance(given, Integral) and not isinstance(given, bool):
            object.__setattr__(self, "classes", range(int(given)))
        _freeze(self, "classes")
        _freeze_class_weight(self)
        _check_classes(self)
        if self.classes is not None and len(class_values(self)) < 2:
            raise ValueError(
                f"`classes` of MulticlassTask({self.name!r}) must be at least two "
                f"values, or their number. Received: {given!r}."
            )

    @property
    def units(self) -> int:
        """Number of classes.

        Raises:
            ValueError: If the classes are not known yet.
        """
        if self.classes is None:
            raise ValueError(
                f"`classes` of MulticlassTask({self.name!r}) must be given when the "
                f"model is not built from a frame. Received: classes=None."
            )
        return len(class_values(self))


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class RegressionTask(Task):
    """A number; `predict` gives it in the label's own unit.

    Args:
        name: See `Task`, as for the fields it shares with the other kinds.
        standardize: Train on `(label - mean) / standard deviation`. Without it, raw
            scales that differ between tasks decide which task is learned.

    Raises:
        ValueError: If a field is not valid on its own or beside another.

    Example:
        >>> import kmtl
        >>> kmtl.RegressionTask("age", metrics=["mae", "r2"]).standardize
        True
    """

    _: KW_ONLY
    standardize: bool = True

    default_loss: ClassVar[str] = "mean_squared_error"
    default_metrics: ClassVar[tuple[str, ...]] = ("mae",)


def check_tasks(tasks: Sequence[Task]) -> tuple[Task, ...]:
    """Returns the tasks as a tuple, or raises when they cannot form one model.

    Raises:
        TypeError: If something in the sequence is not a task.
        ValueError: If there is no task, or a name occurs twice.
    """
    if isinstance(tasks, Task):
        tasks = [tasks]
    if isinstance(tasks, (str, Mapping, Set)) or not isinstance(tasks, Iterable):
        raise TypeError(f"`tasks` must be a list of tasks. Received: {tasks!r}.")
    tasks = tuple(tasks)
    if not tasks:
        raise ValueError("`tasks` must hold at least one task. Received: [].")
    for task in tasks:
        if not isinstance(task, Task):
            raise TypeError(
                "`tasks` must hold BinaryTask, MulticlassTask or RegressionTask "
                f"objects. Received: {task!r}."
            )
    check_unique([task.name for task in tasks], "names of tasks")
    names = {task.name for task in tasks}
    for name in [name for name in names if f"val_{name}" in names]:
        raise ValueError(
            f"Tasks cannot be named {name!r} and 'val_{name}' in one model: Keras logs "
            "the validation of the first under the name of the second."
        )
    return tasks


def class_values(task: BinaryTask | MulticlassTask) -> tuple[Hashable, ...]:
    """Returns the classes of a task, or `()` where they are not known yet."""
    return tuple(task.classes) if isinstance(task.classes, Sequence) else ()


def _freeze(task: Task, *fields: str) -> None:
    """Turns list-valued fields into tuples, so that a task can be hashed and shared."""
    for name in fields:
        value = getattr(task, name)
        if value is not None:
            values = as_tuple(value, f"{name} of task {task.name!r}")
            object.__setattr__(task, name, values)


def _freeze_value(task: Task, name: str) -> None:
    """Checks a field that is one label value, or none."""
    value = as_plain(getattr(task, name))
    if value is not None:
        check_label_value(value, f"{name} of task {task.name!r}")
    object.__setattr__(task, name, value)


def _freeze_class_weight(task: BinaryTask | MulticlassTask) -> None:
    if task.class_weight is not None:
        check_class_weight(task.class_weight, f"class_weight of task {task.name!r}")
        plain = {as_plain(k): float(v) for k, v in task.class_weight.items()}
        object.__setattr__(task, "class_weight", plain)


def _check_classes(task: BinaryTask | MulticlassTask) -> None:
    classes, subject = class_values(task), f"classes of task {task.name!r}"
    for value in classes:
        check_label_value(value, subject)
    check_unique(classes, subject)
    # As text they name the columns of probabilities.
    check_unique(map(str, classes), f"{subject} as text")
    if task.missing is not None and task.missing in classes:
        raise ValueError(
            f"`missing` of task {task.name!r} must not be one of its `classes`. "
            f"Received: missing={task.missing!r}, classes={shorten(classes)}."
        )
