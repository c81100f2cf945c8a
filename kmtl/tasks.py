"""Task specifications: frozen data that knows nothing of any graph.

A task says what is predicted and how its errors count. Cross-field checks run on
construction, so an invalid task cannot exist. What is found in training data (the
classes) is set once by `dataclasses.replace` and then fixed.
"""

import dataclasses
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Self

import keras

from kmtl._checks import check_unique, check_units, check_weight, did_you_mean, shorten
from kmtl._typing import Config, LossLike, MetricLike

_LEGAL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# Names that would collide with the logged total and its parts.
_RESERVED_NAMES = frozenset({"loss", "val", "mean"})
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
            `pd.NA`.
    """

    name: str
    _: KW_ONLY
    label: str | None = None
    loss: LossLike | None = None
    loss_weight: float = 1.0
    metrics: Sequence[MetricLike] | None = None
    head_units: Sequence[int] | None = None
    head: Any = None
    missing: Hashable = None

    default_loss: ClassVar[str]
    default_metrics: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        if type(self) is Task:
            raise TypeError(
                "`Task` is abstract; use BinaryTask, MulticlassTask or RegressionTask."
            )
        check_task_name(self.name)
        _freeze(self, "metrics", "head_units")
        check_weight(self.loss_weight, f"loss_weight of task {self.name!r}")
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
        for name in _KERAS_FIELDS:
            config[name] = keras.saving.serialize_keras_object(config[name])
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
    class_weight: Mapping[Hashable, float] | None = None

    default_loss: ClassVar[str] = "binary_crossentropy"
    default_metrics: ClassVar[tuple[str, ...]] = ("auc",)

    def __post_init__(self) -> None:
        super().__post_init__()
        _freeze(self, "classes")
        _freeze_class_weight(self)
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
    class_weight: Mapping[Hashable, float] | None = None

    default_loss: ClassVar[str] = "sparse_categorical_crossentropy"
    default_metrics: ClassVar[tuple[str, ...]] = ("accuracy",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.classes, int) and not isinstance(self.classes, bool):
            object.__setattr__(self, "classes", range(self.classes))
        _freeze(self, "classes")
        _freeze_class_weight(self)
        if self.classes is None:
            return
        classes = class_values(self)
        check_unique(classes, f"classes of MulticlassTask({self.name!r})")
        if len(classes) < 2:
            raise ValueError(
                f"`classes` of MulticlassTask({self.name!r}) must be at least two "
                f"values. Received: {classes!r}."
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


def check_task_name(name: Any) -> None:
    """Raises `ValueError` unless `name` can name a Keras layer and a TensorFlow op."""
    if not isinstance(name, str) or not _LEGAL_NAME.fullmatch(name):
        raise ValueError(
            "`name` of a task must be letters, digits, '_', '.' or '-', starting with "
            "a letter or a digit (it names a TensorFlow scope); put the column's name "
            f"in `label`. Received: {name!r}."
        )
    if name in _RESERVED_NAMES:
        raise ValueError(
            f"`name` of a task must not be one of {sorted(_RESERVED_NAMES)}, which "
            f"name totals in the logs. Received: {name!r}."
        )


def check_tasks(tasks: Sequence[Task]) -> tuple[Task, ...]:
    """Returns the tasks as a tuple, or raises when they cannot form one model.

    Raises:
        TypeError: If something in the sequence is not a task.
        ValueError: If there is no task, or a name occurs twice.
    """
    if isinstance(tasks, Task):
        tasks = [tasks]
    if isinstance(tasks, (str, Mapping)):
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
    names = [task.name for task in tasks]
    check_unique(names, "names of tasks")
    return tasks


def class_values(task: BinaryTask | MulticlassTask) -> tuple[Hashable, ...]:
    """Returns the classes of a task, or `()` where they are not known yet."""
    return tuple(task.classes) if isinstance(task.classes, Sequence) else ()


def class_index(task: BinaryTask | MulticlassTask, value: Hashable) -> int:
    """Returns the position of a label value among the classes of a task.

    Raises:
        ValueError: If the value is no class of the task.
    """
    classes = class_values(task)
    if value in classes:
        return classes.index(value)
    if isinstance(task, BinaryTask) and value in (0, 1):
        return int(value == 1)
    if isinstance(task, BinaryTask) and task.positive is not None:
        return int(value == task.positive)
    raise ValueError(
        f"{value!r} is no class of task {task.name!r}."
        f"{did_you_mean(value, classes)} Classes: {shorten(classes)}."
    )


def _freeze(task: Task, *fields: str) -> None:
    """Turns list-valued fields into tuples, so that a task can be hashed and shared."""
    for field in fields:
        value = getattr(task, field)
        if value is None or isinstance(value, tuple):
            continue
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise ValueError(
                f"`{field}` of task {task.name!r} must be a list. Received: {value!r}."
            )
        object.__setattr__(task, field, tuple(value))


def _freeze_class_weight(task: BinaryTask | MulticlassTask) -> None:
    if task.class_weight is None:
        return
    subject = f"class_weight of task {task.name!r}"
    if not isinstance(task.class_weight, Mapping):
        raise ValueError(
            f"`{subject}` must be a dict from label value to factor. "
            f"Received: {task.class_weight!r}."
        )
    for value, weight in task.class_weight.items():
        check_weight(weight, f"{subject}[{value!r}]")
