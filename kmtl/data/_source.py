"""`Source`: a table in files, read in frames of bounded size."""

import abc
import glob
import os
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from kmtl._checks import (
    check_count,
    check_flag,
    check_known_keys,
    check_positive_integer,
    check_unique,
    did_you_mean,
    shorten,
)

Paths: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


@dataclass(frozen=True)
class Piece:
    """A part of a shard that can be read by itself.

    Attributes:
        file: The shard.
        groups: Which row groups of it; all rows where there are none.
    """

    file: str
    groups: tuple[int, ...] = ()


@dataclass(kw_only=True, repr=False)
class Source(abc.ABC):
    """A table in files (shards), made by `read_parquet`, `read_csv`, `read_tfrecord`.

    It can be iterated over, any number of times, for frames of at most `chunk_rows`
    rows, in the order of the files. `build_mtl_model`, `fit`, `evaluate`, `predict` and
    `TabularFeatures.from_stream` take it in place of a frame, and hold only a few of
    its frames at a time.

    What training with `shuffle=True`, the default, guarantees: every row comes once an
    epoch, in an order that depends on `seed` and the number of the epoch alone. Pieces
    (row groups of Parquet, whole files otherwise) come in random order, `interleave` of
    them at a time, and rows are drawn from a buffer of `buffer_rows`. So an order of
    rows inside a piece that is longer than the buffer is not undone: write shards of
    rows in random order.

    Attributes:
        files: The shards.
        columns: The columns to read; all if empty.
        chunk_rows: The most rows of a frame.
        seed: Seed of the order in training.
        buffer_rows: How many rows the order of training draws from.
        interleave: How many pieces are read at a time where rows are shuffled.
        cache: Folder for encoded rows, see `read_parquet`.
        skip_corrupt: Whether shards that cannot be read are left out with a warning.
        rows: The number of rows, `None` until all were read once. It is never known
            with `skip_corrupt`: each training then counts them first.
        broken: The shards that could not even be opened.
        rows_per_second: How fast the last pass of a training or a prediction was read
            and encoded, waiting for the model left out; `None` before the first.
    """

    files: Sequence[str]
    columns: Sequence[str] = ()
    chunk_rows: int = 32_768
    seed: int = 0
    buffer_rows: int = 131_072
    interleave: int = 8
    cache: str | os.PathLike[str] | None = None
    skip_corrupt: bool = False
    rows: int | None = field(default=None, init=False)
    rows_per_second: float | None = field(default=None, init=False)
    broken: list[str] = field(default_factory=list, init=False, repr=False)
    _stamps: dict[str, tuple[int, int]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Checks the settings and the columns of all shards."""
        for name in ("chunk_rows", "buffer_rows", "interleave"):
            check_positive_integer(getattr(self, name), name)
        check_count(self.seed, "seed")
        check_flag(self.skip_corrupt, "skip_corrupt")
        if isinstance(self.columns, str):
            raise TypeError(
                "`columns` must be a sequence of column names. Received: "
                f"{self.columns!r}. Use [{self.columns!r}]."
            )
        if self.cache is not None and self.skip_corrupt:
            raise ValueError(
                "`cache` keeps what was read once, so `skip_corrupt` must be False. "
                "Received: both."
            )
        self._open_all()
        check_unique(self.columns, "columns")
        check_known_keys(self.columns, self.column_names(), "columns", kind="column")

    def __repr__(self) -> str:
        """Tells the number of files, which may be many, rows, and how fast they are."""
        known = f"{len(self.files)} files, rows={self.rows}"
        if self.rows_per_second is not None:
            known = f"{known}, rows_per_second={self.rows_per_second:.0f}"
        return f"{type(self).__name__}({known})"

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Reads frames of at most `chunk_rows` rows, in order."""
        return self.frames()

    def _open_all(self) -> None:
        for file in self.files:
            self._stamps[file] = _stamp(file)
            try:
                self._open(file)
            except self.corrupt as error:
                self.broken.append(self.unreadable(file, 0, error))
        if len(self.broken) == len(self.files):
            raise OSError(f"No shard can be read. Received: {self.broken}.")

    @property
    @abc.abstractmethod
    def corrupt(self) -> tuple[type[Exception], ...]:
        """What the reader raises for a shard that is damaged."""

    @abc.abstractmethod
    def _open(self, file: str) -> None:
        """Takes note of what a shard tells of itself: columns, types, rows."""

    @abc.abstractmethod
    def column_names(self) -> list[str]:
        """The columns that the shards have, whether they are read or not."""

    @abc.abstractmethod
    def pieces(self) -> list[Piece]:
        """What can be read by itself, in order."""

    @abc.abstractmethod
    def _read(self, piece: Piece, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Reads a piece in frames of at most `chunk_rows` rows."""

    def identity(self) -> Mapping[str, Any]:
        """What the rows depend on: files with size and time, columns, settings."""
        return {
            "kind": type(self).__name__,
            "files": [[str(Path(f).resolve()), *_stamp(f)] for f in self.files],
            "columns": list(self.columns),
            "chunk_rows": self.chunk_rows,
        }

    def frames(self, only: Collection[str] | None = None) -> Iterator[pd.DataFrame]:
        """Reads frames of at most `chunk_rows` rows, in order.

        Args:
            only: The columns that are needed; those that the table lacks are left out.
                By default all columns of the source.
        """
        skipped = list(self.broken)
        rows = 0
        for piece in self.pieces():
            for frame in self.frames_of(piece, skipped, only):
                rows += len(frame)
                yield frame
        self.passed(rows, skipped)

    def count(self, only: Collection[str] | None = None) -> int:
        """Returns the number of rows; reads them once if it is not known.

        Args:
            only: As of `frames`: other columns may be corrupt in other places.

        Raises:
            ValueError: If there are none.
        """
        rows = self.rows
        if rows is None:
            rows = sum(map(len, self.frames(only)))
        if not rows:
            raise ValueError("A source must hold at least one row. Received: 0 rows.")
        return rows

    def frames_of(
        self, piece: Piece, skipped: list[str], only: Collection[str] | None = None
    ) -> Iterator[pd.DataFrame]:
        """Reads the frames of one piece; the index counts its rows.

        Args:
            piece: One of `pieces()`.
            skipped: Takes the name of the shard if it is corrupt and may be skipped.
            only: As of `frames`.

        Raises:
            OSError: If the shard cannot be read and must not be skipped, or if it was
                written anew since it was opened.
        """
        self._check_unchanged(piece.file)
        reader = self._read(piece, self._columns(only))
        rows = 0
        while True:
            try:
                frame = next(reader, None)
            except self.corrupt as error:
                skipped.append(self.unreadable(piece.file, rows, error))
                return
            if frame is None:
                return
            if len(frame):
                frame.index = pd.RangeIndex(rows, rows + len(frame))
                frame.attrs["shard"] = piece.file
                rows += len(frame)
                # Many pieces are open at a time: none may hold on to what it gave.
                frames, frame = [frame], None
                yield frames.pop()

    def passed(self, rows: int, skipped: Sequence[str]) -> None:
        """Takes note that all rows were read.

        Raises:
            OSError: If they are not as many as before.
        """
        if skipped:
            warnings.warn(
                f"{len(skipped)} corrupt parts of shards were skipped: "
                f"{shorten(skipped, 5)}.",
                stacklevel=2,
            )
        if self.skip_corrupt:
            return
        if self.rows not in (None, rows):
            raise OSError(
                f"The shards must not change while they are in use. Received: {rows} "
                f"rows, {self.rows} before."
            )
        self.rows = rows

    def _check_unchanged(self, file: str) -> None:
        # A file that is gone is told when it is read.
        if Path(file).exists() and _stamp(file) != self._stamps[file]:
            raise OSError(
                "The shards must not change while they are in use. Received: size or "
                f"time of {file!r} is another than when it was opened. Open it anew."
            )

    def _columns(self, only: Collection[str] | None) -> list[str]:
        columns = list(self.columns) or self.column_names()
        if only is None:
            return columns
        return [column for column in columns if column in only]

    def unreadable(self, file: str, rows: int, error: Exception) -> str:
        """Returns what to say of a shard that is skipped.

        Raises:
            OSError: If it must not be skipped.
        """
        what = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        if self.skip_corrupt:
            return f"{file} after {rows} rows ({what})"
        raise OSError(
            f"Shard {file!r} cannot be read after {rows} rows of a part. Received: "
            f"{what}. Mend it, or pass `skip_corrupt=True` to go on without the rest "
            "of it."
        ) from error


def find_files(paths: Paths) -> list[str]:
    """Returns the files that paths and patterns name, those of a pattern sorted.

    Raises:
        FileNotFoundError: If a path names none.
        ValueError: If a file is named twice.
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    if not given:
        raise ValueError("`paths` must name at least one file. Received: none.")
    files = [file for path in given for file in _matching(os.fspath(path))]
    check_unique(files, "paths")
    return files


def check_same_columns(
    columns: Mapping[str, str], file: str, first: Mapping[str, str], first_file: str
) -> None:
    """Raises `ValueError` unless a shard has the columns of the first, and their types.

    Args:
        columns: Types by column; `""` where any type will do.
        file: The shard.
        first: Types by column of the first shard.
        first_file: The first shard.
    """
    lacks = [name for name in first if name not in columns]
    more = [name for name in columns if name not in first]
    if lacks or more:
        raise ValueError(
            f"Shard {file!r} must have the columns of {first_file!r}. Received: it "
            f"lacks {shorten(lacks)} and has {shorten(more)} besides."
            f"{did_you_mean(lacks[0], more) if lacks else ''} Name those to read with "
            "`columns=`."
        )
    for name, dtype in columns.items():
        if dtype and first[name] and dtype != first[name]:
            raise ValueError(
                f"Column {name!r} of shard {file!r} must be {first[name]}, as in "
                f"{first_file!r}. Received: {dtype}."
            )


def _matching(path: str) -> list[str]:
    if Path(path).is_dir():
        raise IsADirectoryError(
            f"`paths` must name files. Received: the folder {path!r}. Use a pattern, "
            f"such as {str(Path(path) / '*.parquet')!r}."
        )
    # `Path.glob` takes no absolute patterns.
    matching = glob.glob(path, recursive=True)  # noqa: PTH207
    found = [path] if Path(path).exists() else sorted(matching)
    if not found:
        raise FileNotFoundError(f"`paths` must name files. Received: {path!r}: none.")
    return found


def _stamp(file: str) -> tuple[int, int]:
    """What tells a file from one that was written in its place: size and time."""
    stat = Path(file).stat()
    return stat.st_size, stat.st_mtime_ns
