"""How the options of `pandas.read_csv` cut text into rows and fields."""

import re
from collections.abc import Callable, Mapping
from csv import QUOTE_NONE
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

_LF, _CR = b"\n\r"


@dataclass(frozen=True)
class Rows:
    """The rows that some text holds in full.

    Attributes:
        lines: Where lines end, those inside quotes too.
        starts: Where rows start; the last one is not there in full.
        fields: How many fields each of the others has.
    """

    lines: np.ndarray
    starts: np.ndarray
    fields: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Layout:
    r"""How pandas' C parser cuts text into rows and fields.

    Attributes:
        separator: Between fields, one byte; none stands for `"\s+"`.
        quote: Around fields that hold separators or newlines; none: nothing is.
        double: Whether two quotes inside of quotes stand for one.
        escape: What takes the meaning of the next byte, or none.
        comment: What starts a comment, or none.
        spaces: Whether spaces after separators do not count.
        blank: Whether blank lines do not count.
        header: How many rows there are up to the end of the header.
        skipped: Says whether the row of a number, from 0, is skipped.
    """

    separator: bytes
    quote: bytes
    double: bool
    escape: bytes
    comment: bytes
    spaces: bool
    blank: bool
    header: int
    skipped: Callable[[int], bool]

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Layout":
        """Reads the options of `pandas.read_csv`.

        Raises:
            ValueError: If rows could not be told apart exactly.
        """
        name = "delimiter" if options.get("delimiter") else "sep"
        separator = options.get(name, ",")
        quoted = options.get("quoting") != QUOTE_NONE
        spaces = options.get("skipinitialspace", False)
        if separator == " " and spaces:
            raise ValueError(
                f"`{name}` must not be a space with `skipinitialspace=True`. Received: "
                r"both. Use `sep=r'\s+'`."
            )
        return cls(
            separator=b"" if separator == r"\s+" else _byte(separator, name),
            quote=_byte(options.get("quotechar", '"'), "quotechar") if quoted else b"",
            double=options.get("doublequote", True),
            escape=_byte(options.get("escapechar") or "", "escapechar"),
            comment=_byte(options.get("comment") or "", "comment"),
            spaces=spaces,
            blank=options.get("skip_blank_lines", True),
            header=_header(options),
            skipped=_skipped(options.get("skiprows")),
        )

    def rows(self, data: bytes) -> Rows:
        """Finds the rows in text that starts with one.

        Args:
            data: The text in UTF-8. What follows the last end of a row is left out.
        """
        codes = np.frombuffer(data, np.uint8)
        newline = codes == _LF
        if b"\r" in data:  # ends a line where no line feed follows
            newline[:-1] |= (codes[:-1] == _CR) & (codes[1:] != _LF)
        counted = self._counted(codes, newline)
        lines = np.flatnonzero(newline)
        inside = self._inside(data, codes)
        ends = lines
        if inside is not None:
            ends = lines[~inside[lines]]
            counted &= ~inside
        starts = np.concatenate([[0], ends + 1])
        whole = counted[: starts[-1]]
        fields = np.add.reduceat(whole, starts[:-1], dtype=np.int32)
        # Separators are one fewer than fields; words are as many.
        return Rows(lines, starts, fields + len(self.separator))

    def is_left_out(self, number: int, row: bytes) -> bool:
        """Says whether pandas leaves out a row: as skipped, blank or a comment.

        Args:
            number: The number of the row, from 0.
            row: Its text.
        """
        if self.skipped(number) or (self.comment and row.startswith(self.comment)):
            return True
        blank = b" \t\r\n".replace(self.separator, b"")
        return self.blank and not row.strip(blank)

    def _counted(self, codes: np.ndarray, newline: np.ndarray) -> np.ndarray:
        """Marks separators, or the first bytes of words."""
        if self.separator:
            return codes == self.separator[0]
        blank = newline | np.isin(codes, list(b" \t\r" + self.comment))
        first = ~blank
        first[1:] &= blank[:-1]
        return first

    def _inside(self, data: bytes, codes: np.ndarray) -> np.ndarray | None:
        """Marks what is quoted, escaped or a comment; `None` where nothing is."""
        marks = (self.quote, self.escape, self.comment)
        if not any(mark and mark in data for mark in marks):
            return None
        if self._is_plain and (odd := self._after_odd_quotes(codes)) is not None:
            return odd
        spans = [match.span() for match in self._pattern.finditer(data)]
        starts, stops = np.array(spans, dtype=np.intp).reshape(-1, 2).T
        steps = np.zeros(len(data) + 1, dtype=np.int8)
        steps[starts + 1] += 1  # the start itself may be the first byte of a word
        steps[stops] -= 1
        return np.cumsum(steps[:-1], dtype=np.int8) > 0

    def _after_odd_quotes(self, codes: np.ndarray) -> np.ndarray | None:
        """Marks what follows an odd number of quotes; `None` if that is not quoted.

        It is, if each odd quote starts a field, or is the second of a double one.
        """
        is_quote = codes == self.quote[0]
        quotes = np.flatnonzero(is_quote)
        before = codes[quotes - 1]
        opens = (before == self.separator[0]) | (before == _LF) | (before == _CR)
        opens |= quotes == 0
        if not opens.any():  # inches, say
            return np.zeros(len(codes), dtype=bool)
        second = np.diff(quotes, prepend=-1) == 1
        if not (opens | second)[::2].all():
            return None
        return np.logical_xor.accumulate(is_quote)

    @property
    def _is_plain(self) -> bool:
        special = self.escape or self.comment or self.spaces or not self.separator
        return self.double and not special

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        """Finds what is quoted, escaped or a comment."""
        quote, escape, comment = map(re.escape, (self.quote, self.escape, self.comment))
        parts = []
        if quote:
            between = re.escape(self.separator) or rb" \t"
            text = b"[^" + quote + escape + b"]*"
            pairs = [quote * 2] * self.double + [escape + rb"[\s\S]"] * bool(escape)
            more = b"(?:(?:" + b"|".join(pairs) + b")" + text + b")*" if pairs else b""
            field = rb"(?<![^" + between + rb"\r\n])" + b" *" * self.spaces
            # Without an end, everything that is left is quoted.
            parts.append(field + quote + text + more + b"(?:" + quote + rb"|\Z)")
        if escape:
            parts.append(escape + rb"[\s\S]")
        if comment:
            parts.append(comment + rb"[^\r\n]*")
        return re.compile(b"|".join(parts))


def _byte(value: Any, name: str) -> bytes:
    is_none = value == "" and name in ("escapechar", "comment")
    if is_none or (isinstance(value, str) and len(value) == 1 and value.isascii()):
        return str(value).encode()
    also = r", or `'\s+'` for spaces and tabs" if name in ("sep", "delimiter") else ""
    raise ValueError(
        f"`{name}` must be one ASCII character{also}. Received: {value!r}."
    )


def _header(options: Mapping[str, Any]) -> int:
    header = options.get("header", "infer")
    if header == "infer":
        header = 0 if options.get("names") is None else None
    if header is None:
        if options.get("names") is None:
            raise ValueError(
                "`names` must be given where files have no header. Received: "
                "`header=None` without. Name all their columns."
            )
        return 0
    if isinstance(header, bool) or not isinstance(header, int) or header < 0:
        raise ValueError(
            f"`header` must be the number of one row, from 0. Received: {header!r}."
        )
    return header + 1


def _skipped(skiprows: Any) -> Callable[[int], bool]:
    if callable(skiprows):
        return skiprows
    if skiprows is None or isinstance(skiprows, (int, np.integer)):
        return range(int(skiprows or 0)).__contains__
    return frozenset(skiprows).__contains__
