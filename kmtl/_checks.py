"""One error sentence for each kind of mistake.

Every message names the subject in backticks, says what is expected, shows what was
received and, where one is known, the remedy.
"""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """Returns `" Did you mean 'x'?"` for a near miss, else an empty string."""
    close = difflib.get_close_matches(str(name), [str(k) for k in known], n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def shorten(values: Iterable[object], limit: int = 12) -> str:
    """Lists values for a message: at most `limit`, then how many more there are."""
    values = list(values)
    shown = ", ".join(repr(v) for v in values[:limit])
    more = f", ... ({len(values) - limit} more)" if len(values) > limit else ""
    return f"[{shown}{more}]"


def check_known_keys(
    keys: Iterable[object], known: Sequence[object], subject: str, kind: str = "task"
) -> None:
    """Raises `ValueError` for the first key that is not among the known names.

    Args:
        keys: What the user passed.
        known: The names that exist.
        subject: What the keys belong to, for the message, e.g. `"loss_weights"`.
        kind: What a key names, e.g. `"task"` or `"column"`.
    """
    for key in keys:
        if key not in known:
            raise ValueError(
                f"`{subject}` names an unknown {kind}. Received: {key!r}."
                f"{did_you_mean(key, known)} Known: {shorten(known)}."
            )


def check_positive(value: Any, subject: str) -> None:
    """Raises `ValueError` unless `value` is a number above 0."""
    if not _is_number(value) or not value > 0:
        raise ValueError(f"`{subject}` must be positive. Received: {value!r}.")


def check_positive_integer(value: Any, subject: str) -> None:
    """Raises `ValueError` unless `value` is an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(
            f"`{subject}` must be a positive integer. Received: {value!r}."
        )


def check_weight(value: Any, subject: str) -> None:
    """Raises `ValueError` unless `value` is a finite number of at least 0."""
    if not _is_number(value) or not 0 <= value < float("inf"):
        raise ValueError(
            f"`{subject}` must be a finite number of at least 0. Received: {value!r}."
        )


def check_units(units: Sequence[Any], subject: str) -> None:
    """Raises `ValueError` unless `units` is a sequence of positive integers."""
    if isinstance(units, str) or not isinstance(units, Sequence):
        raise ValueError(
            f"`{subject}` must be a sequence of layer widths, such as (64, 32). "
            f"Received: {units!r}."
        )
    for unit in units:
        check_positive_integer(unit, f"{subject}[...]")


def check_unique(names: Sequence[object], subject: str) -> None:
    """Raises `ValueError` that lists the names occurring more than once."""
    repeated = sorted({str(n) for n in names if list(names).count(n) > 1})
    if repeated:
        raise ValueError(f"`{subject}` must be unique. Repeated: {shorten(repeated)}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
