"""Tasks whose labels are classes."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from numbers import Integral
from typing import ClassVar

import keras

from kmtl._checks import (
    as_plain,
    check_class_weight,
    check_label_value,
    check_unique,
    shorten,
)
from kmtl.tasks._task import Task, freeze, freeze_value


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
        freeze(self, "classes")
        _freeze_class_weight(self)
        freeze_value(self, "positive")
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
        freeze(self, "classes")
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


def class_values(task: BinaryTask | MulticlassTask) -> tuple[Hashable, ...]:
    """Returns the classes of a task, or `()` where they are not known yet."""
    return tuple(task.classes) if isinstance(task.classes, Sequence) else ()


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
