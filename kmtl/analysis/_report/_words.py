"""Numbers and names as people read them."""

from collections.abc import Iterable
from typing import Any

import numpy as np

DASH, MINUS, TIMES = "\u2013", "\u2212", "\u00d7"
_MOST_NAMES = 6


def number(value: Any) -> str:
    """Whole numbers in groups of three, four digits of others; a dash for NaN."""
    if value is None or not np.isfinite(value):
        return DASH
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    size = abs(value)
    if size and (size >= 1e6 or size < 1e-4):
        return f"{value:.3g}"
    if size < 1:
        return f"{value:.4f}"
    return f"{value:,.{max(0, 3 - int(np.log10(size)))}f}"


def percent(share: float) -> str:
    """A share in percent; one that is neither none nor all is not shown as such."""
    if not np.isfinite(share):
        return DASH
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    digits = 0 if share in (0, 1) else 1
    return f"{100 * share:.{digits}f} %"


def signed(value: float, is_absolute: bool) -> str:
    """A gain: a difference of scores, or percent of an error."""
    if not np.isfinite(value):
        return DASH
    text = f"{value:+.4f}" if is_absolute else f"{100 * value:+.1f} %"
    return text.replace("-", MINUS)


def short(name: object, most: int) -> str:
    """Cuts a name for a picture."""
    text = str(name)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def name_list(names: Iterable[str]) -> str:
    """Lists names for a sentence: the first six, then how many more there are."""
    names = list(names)
    shown = ", ".join(names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
