"""One error sentence for each kind of mistake.

Every message names the subject in backticks, says what is expected, shows what was
received and, where one is known, the remedy.
"""

import difflib
import importlib
import os
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

_LEGAL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# Names that would collide with the logged total and its parts.
_RESERVED_NAMES = frozenset({"loss", "val", "mean", "distillation"})


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """Returns `" Did you mean 'x'?"` for a near miss, else an empty string."""
    by_text = {str(k).casefold(): k for k in known}
    close = difflib.get_close_matches(str(name).casefold(), by_text, n=1)
    return f" Did you mean {by_text[close[0]]!r}?" if close else ""


def shorten(values: Iterable[object], limit: int = 12) -> str:
    """Lists values for a message: at most `limit`, then how many more there are."""
    values = list(values)
    shown = ", ".join(repr(v) for v in values[:limit])
    more = f", ... ({len(values) - limit} more)" if len(values) > limit else ""
    return f"[{shown}{more}]"


def check_known_keys(
    keys: Iterable[Hashable],
    known: Iterable[Hashable],
    subject: str,
    kind: str = "task",
) -> None:
    """Raises `ValueError` for the first key that is not among the known names.

    Args:
        keys: What the user passed.
        known: The names that exist.
        subject: What the keys belong to, for the message, e.g. `"loss_weights"`.
        kind: What a key names, e.g. `"task"` or `"column"`.
    """
    known = dict.fromkeys(known)  # a set that keeps the order for the message
    for key in keys:
        if key not in known:
            raise ValueError(
                f"`{subject}` names an unknown {kind}. Received: {key!r}."
                f"{did_you_mean(key, known)} Known: {shorten(known)}."
            )


def check_mapping(value: Any, subject: str, expected: str) -> None:
    """Raises `TypeError` unless `value` is a dict or another mapping.

    Args:
        value: What the user passed.
        subject: Names it in the message, e.g. `"loss_weights"`.
        expected: What the dict holds, e.g. `"weights by task name"`.
    """
    if not isinstance(value, Mapping):
        raise TypeError(
            f"`{subject}` must be a dict of {expected}. Received: {value!r}."
        )


def check_positive(value: Any, subject: str) -> None:
    """Raises `ValueError` unless `value` is a number above 0."""
    if not is_number(value) or not value > 0:
        raise ValueError(f"`{subject}` must be positive. Received: {value!r}.")


def check_positive_integer(value: Any, subject: str) -> None:
    """Raises `ValueError` unless `value` is an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(
            f"`{subject}` must be a positive integer. Received: {value!r}."
        )


def check_count(value: Any, subject: str) -> None:
    """Raises `ValueError` unless `value` is an integer of at least 0."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        raise ValueError(
            f"`{subject}` must be an integer of at least 0. Received: {value!r}."
        )


def check_weight(value: Any, subject: str) -> None:
    """Raises `ValueError` unless `value` is a finite number of at least 0."""
    if not is_number(value) or not 0 <= value < float("inf"):
        raise ValueError(
            f"`{subject}` must be a finite number of at least 0. Received: {value!r}."
        )


def check_number(value: Any, subject: str) -> None:
    """Raises `ValueError` unless `value` is a finite number."""
    if not is_number(value) or not float("-inf") < value < float("inf"):
        raise ValueError(f"`{subject}` must be a finite number. Received: {value!r}.")


def check_share(value: Any, subject: str) -> None:
    """Raises `ValueError` unless `value` is a number from 0 to 1."""
    if not is_number(value) or not 0 <= value <= 1:
        raise ValueError(f"`{subject}` must be from 0 to 1. Received: {value!r}.")


def check_units(units: Sequence[Any], subject: str) -> None:
    """Raises `ValueError` unless `units` is a sequence of positive integers."""
    if isinstance(units, str) or not isinstance(units, Sequence):
        raise ValueError(
            f"`{subject}` must be a sequence of layer widths, such as (64, 32). "
            f"Received: {units!r}."
        )
    for unit in units:
        check_positive_integer(unit, f"{subject}[...]")


def check_flag(value: Any, subject: str) -> None:
    """Raises `ValueError` unless `value` is true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"`{subject}` must be True or False. Received: {value!r}.")


def check_choice(value: Any, choices: tuple[str | None, ...], subject: str) -> None:
    """Raises `ValueError` unless `value` is one of the choices."""
    if value not in choices:
        raise ValueError(
            f"`{subject}` must be one of {shorten(choices)}. Received: {value!r}."
            f"{did_you_mean(value, choices)}"
        )


def check_unique(names: Iterable[Hashable], subject: str) -> None:
    """Raises `ValueError` that lists the names occurring more than once."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ValueError(f"`{subject}` must be unique. Repeated: {shorten(repeated)}.")


def is_number(value: Any) -> bool:
    """Whether a value is a real number, of Python or NumPy; truth values are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_task_name(name: Any) -> None:
    """Raises `ValueError` unless `name` can name a layer, a TensorFlow op and logs."""
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
    if name.startswith("val_"):
        raise ValueError(
            "`name` of a task must not start with 'val_', by which Keras tells the "
            "logs of validation from those of training; put the column's name in "
            f"`label`. Received: {name!r}."
        )


def check_label_value(value: Any, subject: str) -> None:
    """Raises `ValueError` unless a value can be a label that a saved model keeps."""
    if not isinstance(value, (str, bool, Real)) or value != value:  # NaN: no label
        raise ValueError(
            f"`{subject}` must be text, a number or a truth value. Received: {value!r}."
        )


def check_class_weight(value: Any, subject: str) -> None:
    """Raises unless `value` is a dict from label value to a weight."""
    check_mapping(value, subject, "factors by label value")
    for label, weight in value.items():
        check_weight(weight, f"{subject}[{label!r}]")


def as_tuple(value: Any, subject: str) -> tuple[Any, ...]:
    """Returns the values of a list; NumPy scalars become Python's.

    Raises:
        ValueError: If `value` is no list. A set is none: two runs of Python would see
            its values in two orders.
    """
    no_lists = (str, bytes, Mapping, Set)
    if isinstance(value, no_lists) or not isinstance(value, Iterable):
        raise ValueError(f"`{subject}` must be a list. Received: {value!r}.")
    return tuple(map(as_plain, value))


def as_path(value: Any, subject: str) -> Path:
    """Returns the path that a string or a path-like object names.

    Raises:
        TypeError: If it is neither, or empty, which would be the working directory.
    """
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise TypeError(
            f"`{subject}` must be a path, e.g. 'saved_models'. Received: {value!r}."
        )
    return Path(value)


def as_plain(value: Any) -> Any:
    """Turns a NumPy scalar into a Python one, which JSON can hold."""
    return value.item() if isinstance(value, np.generic) else value


def import_extra(module: str, extra: str) -> Any:
    """Imports a module of a package that `kmtl` does not always come with.

    Args:
        module: Its full name, e.g. `"onnx.checker"`.
        extra: The extra of `kmtl` that installs it.

    Raises:
        ImportError: If it is not installed; the message says how to do that.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"This needs {module.split('.')[0]}; install it with "
            f"`pip install 'kmtl[{extra}]'`. Received: {error}"
        ) from error
