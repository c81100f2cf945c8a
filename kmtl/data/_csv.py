"""Tables in CSV files."""

import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd

from kmtl._checks import shorten
from kmtl.data._csv_layout import Layout
from kmtl.data._csv_text import CheckedText, open_bytes
from kmtl.data._source import Paths, Piece, Source, check_same_columns, find_files
from kmtl.features._convert import value_kind

# What decides about rows, columns and size of a frame is no option of the parser.
_OURS = {
    "chunksize",
    "iterator",
    "nrows",
    "usecols",
    "index_col",
    "skipfooter",
    "on_bad_lines",
}
# Rows are checked as pandas' C parser tells them apart in its usual settings.
_FIXED = {
    "engine",
    "dialect",
    "lineterminator",
    "low_memory",
    "memory_map",
    "storage_options",
}
# Text with as many numbers is a column of numbers with a few words.
_MOSTLY = 0.95


def read_csv(
    paths: Paths,
    columns: Sequence[str] | None = None,
    *,
    chunk_rows: int = 32_768,
    seed: int = 0,
    buffer_rows: int = 131_072,
    interleave: int = 8,
    cache: str | os.PathLike[str] | None = None,
    skip_corrupt: bool = False,
    **options: Any,
) -> Source:
    r"""Opens a table in CSV files that need not fit into memory.

    The type of a column is found frame by frame, as pandas does it, and must stay the
    same: a column of numbers with a word far down is an error, not text, and so is one
    of a single frame where at least 19 in 20 values are numbers. `dtype` keeps it text.
    Every row must have as many fields as there are columns: pandas would fill up short
    rows with missing values. The number of rows is known after the first pass, such as
    that of `build_mtl_model`. Parquet is several times as fast.

    Args:
        paths: As in `read_parquet`.
        columns: As in `read_parquet`.
        chunk_rows: As in `read_parquet`.
        seed: As in `read_parquet`.
        buffer_rows: As in `read_parquet`.
        interleave: As in `read_parquet`, of files.
        cache: As in `read_parquet`.
        skip_corrupt: As in `read_parquet`.
        **options: Of `pandas.read_csv`, such as `sep`, `names`, `dtype`, `na_values`.
            Separators are one character or `r"\s+"`, headers one row, compressed files
            those of gzip, bz2, xz or zip.

    Returns:
        The table, which `build_mtl_model`, `fit`, `evaluate` and `predict` take.

    Raises:
        FileNotFoundError: If a path names no file.
        OSError: If a file is corrupt: it was cut off, or a row has too few or too many
            fields.
        TypeError: If a column changes its type, or is of numbers with a few words.
        ValueError: If files have other columns than the first, or no header and
            `names` are not given, or if an option sets which rows or columns are read,
            or how, in a way that is not known.

    Example:
        >>> import kmtl, pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "points.csv"
        >>> _ = file.write_text("x;y\n1;0\n2;1\n3;1\n")
        >>> source = kmtl.data.read_csv(file, sep=";", chunk_rows=2)
        >>> [len(frame) for frame in source], source.rows
        ([2, 1], 3)
    """
    return CSVSource(
        files=find_files(paths),
        columns=() if columns is None else columns,
        chunk_rows=chunk_rows,
        seed=seed,
        buffer_rows=buffer_rows,
        interleave=interleave,
        cache=cache,
        skip_corrupt=skip_corrupt,
        options=options,
    )


@dataclass(kw_only=True, repr=False)
class CSVSource(Source):
    """A table in CSV files, see `read_csv`."""

    options: Mapping[str, Any]
    _headers: dict[str, list[str]] = field(default_factory=dict, init=False)
    _kinds: dict[str, tuple[str, str]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Refuses options that decide about rows and columns."""
        for name in self.options:
            if name in _OURS:
                raise ValueError(
                    f"`{name}` must not be given: all rows are read, in frames of "
                    f"`chunk_rows`, with `columns`. Received: {self.options[name]!r}."
                )
            if name in _FIXED:
                raise ValueError(
                    f"`{name}` must not be given: files are read by pandas' C parser "
                    f"in its usual settings. Received: {self.options[name]!r}."
                )
        self._layout = Layout.of(self.options)
        super().__post_init__()

    @property
    def corrupt(self) -> tuple[type[Exception], ...]:
        return (
            OSError,
            EOFError,
            UnicodeError,
            zlib.error,
            lzma.LZMAError,
            zipfile.BadZipFile,
            pd.errors.ParserError,
            pd.errors.EmptyDataError,
        )

    def column_names(self) -> list[str]:
        return list(self._wanted(next(iter(self._headers.values()))))

    def pieces(self) -> list[Piece]:
        return [Piece(file) for file in self._headers]

    def identity(self) -> Mapping[str, Any]:
        return {**super().identity(), "options": repr(sorted(self.options.items()))}

    def _read(self, piece: Piece, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        header = self._headers[piece.file]
        with ExitStack() as opened:
            # Without `low_memory` a column of a frame has one type.
            frames = pd.read_csv(
                opened.enter_context(self._text(piece.file, len(header))),
                usecols=list(columns),
                chunksize=self.chunk_rows,
                low_memory=False,
                **self._parsing(header, columns),
            )
            opened.enter_context(frames)
            yield from map(partial(self._checked, piece.file, columns), frames)

    @contextmanager
    def _text(self, file: str, width: int | None = None) -> Iterator[Any]:
        encoding = self.options.get("encoding") or "utf-8"
        errors = self.options.get("encoding_errors", "strict")
        with open_bytes(file, self.options.get("compression", "infer")) as data:
            yield CheckedText(data, encoding, errors, layout=self._layout, width=width)

    def _open(self, file: str) -> None:
        with self._text(file) as text:
            frame = pd.read_csv(text, nrows=0, **self._parsing())
        header = frame.columns.tolist()
        for name in header:
            if not isinstance(name, str):
                raise ValueError(
                    f"The columns of {file!r} must have texts for names. Received: "
                    f"{name!r}. Name them with `names=`."
                )
        if self._headers:
            first_file, first = next(iter(self._headers.items()))
            check_same_columns(
                self._wanted(header), file, self._wanted(first), first_file
            )
        self._headers[file] = header

    def _wanted(self, header: Sequence[str]) -> dict[str, str]:
        """The columns to read of those there are, of any type."""
        return {name: "" for name in header if not self.columns or name in self.columns}

    def _parsing(
        self, header: Sequence[str] = (), columns: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """The options of the parser, without dates that are not read.

        Args:
            header: All columns.
            columns: Those that are read; all by default.
        """
        options = {**self.options, "index_col": False}
        for name in ("compression", "encoding"):  # the text has neither any more
            options.pop(name, None)
        dates = options.get("parse_dates")
        if columns is not None and isinstance(dates, (list, tuple)):
            named = [header[d] if isinstance(d, int) else d for d in dates]
            options["parse_dates"] = [name for name in named if name in columns]
        return options

    def _checked(
        self, file: str, columns: Sequence[str], frame: pd.DataFrame
    ) -> pd.DataFrame:
        """Compares the types of columns with those of the frames before."""
        for name in frame.columns:
            kind = value_kind(frame[name])
            if kind == "empty":
                continue
            if kind == "text" and name not in self._kinds and not self._is_typed(name):
                self._check_words(file, frame[name])
            known, where = self._kinds.setdefault(name, (kind, file))
            if kind != known:
                raise TypeError(
                    f"Column {name!r} must hold values of one type. Received: {known} "
                    f"in {where!r} and {kind} in {file!r}, such as "
                    f"{shorten(_odd(frame[name], known), 3)}. {_remedy(name)}"
                )
        return frame[columns]

    def _is_typed(self, name: str) -> bool:
        """Says whether options tell what a column holds."""
        given = self.options.get("dtype")
        converters = self.options.get("converters") or {}
        is_given = name in given if isinstance(given, Mapping) else given is not None
        return is_given or name in converters

    def _check_words(self, file: str, texts: pd.Series) -> None:
        """Refuses a column of numbers with a few words: pandas takes it for text."""
        texts = texts.dropna()
        # Most columns of text are told by a few of their values.
        few = texts.iloc[:: -(-len(texts) // 500)]
        if len(_words(few)) > len(few) / 2:
            return
        words = _words(texts)
        if 0 < len(words) <= (1 - _MOSTLY) * len(texts):
            raise TypeError(
                f"Column {texts.name!r} must hold values of one type. Received: "
                f"numbers in {file!r}, but for {shorten(words.unique().tolist(), 3)}. "
                f"{_remedy(str(texts.name))}"
            )


def _odd(values: pd.Series, known: str) -> list[Any]:
    """The values that do not fit what a column held; all if that is unclear."""
    words = _words(values) if known == "number" else values
    return (values if words.empty else words).dropna().unique().tolist()


def _words(values: pd.Series) -> pd.Series:
    """The values that are no numbers."""
    return values[values.notna() & pd.to_numeric(values, errors="coerce").isna()]


def _remedy(name: str) -> str:
    return (
        f"Say what it is, e.g. `dtype={{{name!r}: 'str'}}`, or `na_values=` for what "
        "means that it is missing."
    )
