"""The text of CSV files, checked row by row while pandas reads it."""

import bz2
import codecs
import gzip
import lzma
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from pandas.errors import ParserError

from kmtl._checks import check_choice
from kmtl.data._csv_layout import Layout, Rows

_BY_ENDING = {
    ".gz": "gzip",
    ".bz2": "bz2",
    ".xz": "xz",
    ".zip": "zip",
    ".zst": "zstd",
    ".tar": "tar",
}
# A row that is longer has a quote without an end.
_LONGEST_ROW = 1 << 24
_BLOCK = 1 << 18


@contextmanager
def open_bytes(file: str, compression: Any) -> Iterator[IO[bytes]]:
    """Opens a file as `pandas.read_csv` does.

    Args:
        file: The file.
        compression: As there.

    Raises:
        ValueError: If the file is compressed in a way that is not known.
    """
    if compression == "infer":
        compression = _BY_ENDING.get(Path(file).suffix.lower())
    check_choice(compression, (None, "gzip", "bz2", "xz", "zip"), "compression")
    with ExitStack() as opened:
        if compression == "zip":
            archive = opened.enter_context(zipfile.ZipFile(file))
            yield opened.enter_context(archive.open(_only_file(archive)))
            return
        openers: dict[Any, Any] = {
            "gzip": gzip.open,
            "bz2": bz2.open,
            "xz": lzma.open,
        }
        yield opened.enter_context(openers.get(compression, open)(file, "rb"))


def _only_file(archive: zipfile.ZipFile) -> str:
    names = archive.namelist()
    if len(names) != 1:
        raise ValueError(
            f"The archive {archive.filename!r} must hold one file. Received: {names}."
        )
    return names[0]


class CheckedText:
    """Text that can be read once and whose rows all have the same number of fields.

    pandas fills short rows up with missing values, and takes the first field of long
    ones for an index, so that both give wrong numbers. Here they raise
    `pandas.errors.ParserError` once the rows before were read, and so do NUL bytes.

    Args:
        data: The text.
        encoding: Its encoding.
        errors: What is done about bytes that it cannot read, as in `open`.
        layout: How it is cut into rows.
        width: How many fields each row must have; any number if `None`.
    """

    def __init__(
        self,
        data: IO[bytes],
        encoding: str,
        errors: str,
        *,
        layout: Layout,
        width: int | None,
    ) -> None:
        """Starts before the first row."""
        self._data = data
        self._decoder = codecs.getincrementaldecoder(encoding)(errors)
        self._layout = layout
        self._width = width
        self._rest = b""
        self._lines = self._number = 0
        self._header = layout.header
        self._error: ParserError | None = None

    def __iter__(self) -> Iterator[str]:
        """Reads block by block: pandas wants files to be iterable."""
        return iter(lambda: self.read(_BLOCK), "")

    def read(self, size: int = -1) -> str:
        """Reads about so many characters, none at the end.

        Raises:
            ParserError: If a row is corrupt.
        """
        if self._error is not None:
            raise self._error
        text = self._next(size)
        known = len(self._rest)
        data = self._rest + text.encode("utf-8", "surrogatepass")
        if data and not text:
            data += b"\n"  # the last line may lack it
        good = self._check(data)
        if self._error is None:
            return text
        if good <= known:
            raise self._error
        return data[known:good].decode("utf-8", "surrogatepass")

    def _next(self, size: int) -> str:
        while True:
            # Some bytes may be no whole character yet.
            data = self._data.read(size)
            text = self._decoder.decode(data, final=not data)
            if text or not data:
                return text

    def _check(self, data: bytes) -> int:
        """Checks the rows that end in some text; returns where a corrupt one starts."""
        rows = self._layout.rows(data)
        if b"\0" in data:
            self._refuse(rows, data.index(b"\0"), "holds NUL bytes")
            return 0
        for place in self._suspects(data, rows):
            start = int(rows.starts[place])
            self._refuse(rows, start, self._width_error(rows.fields[place]))
            return start
        done = int(rows.starts[-1])
        if len(data) - done > _LONGEST_ROW:
            self._refuse(rows, done, "starts a row without an end (a quote, say)")
            return 0
        self._rest = data[done:]
        self._number += len(rows.fields)
        self._lines += int(np.searchsorted(rows.lines, done))
        return done

    def _suspects(self, data: bytes, rows: Rows) -> Iterator[int]:
        """Goes by the header, then finds rows that are too short or too long."""
        if self._width is None:
            return
        first = 0
        while self._header and first < len(rows.fields):
            self._header -= not self._is_left_out(first, data, rows)
            first += 1
        wrong = np.flatnonzero(rows.fields[first:] != self._width) + first
        for place in wrong.tolist():
            if not self._is_left_out(place, data, rows):
                yield place

    def _is_left_out(self, place: int, data: bytes, rows: Rows) -> bool:
        row = data[rows.starts[place] : rows.starts[place + 1]]
        return self._layout.is_left_out(self._number + place, row)

    def _refuse(self, rows: Rows, place: int, what: str) -> None:
        line = self._lines + int(np.searchsorted(rows.lines, place)) + 1
        self._error = ParserError(f"line {line} {what}")

    def _width_error(self, fields: int) -> str:
        what = f"must have {self._width} fields and has {fields}"
        if fields - 1 != self._width:
            return what
        return (
            f"{what} (where every row has one more than the header, such as the names "
            "of rows that R writes, name all with `names=` and `header=0`)"
        )
