"""Tables in CSV files."""

import lzma
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd

from kmtl._checks import shorten
from kmtl.data._source import Paths, Piece, Source, check_same_columns, find_files
from kmtl.features._convert import value_kind

# What decides about rows, columns and size of a frame is no option of the parser.
_OURS = {"chunksize", "iterator", "nrows", "usecols", "index_col", "skipfooter"}


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
    same: a column of numbers with a word far down is an error, not text. The number of
    rows is known after the first pass, such as that of `build_mtl_model`. Parquet is
    several times as fast.

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

    Returns:
        The table, which `build_mtl_model`, `fit`, `evaluate` and `predict` take.

    Raises:
        FileNotFoundError: If a path names no file.
        OSError: If a file is corrupt.
        TypeError: If a column changes its type.
        ValueError: If files have other columns than the first, or if an option sets
            which rows or columns are read.

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
    _readable: list[str] = field(default_factory=list, init=False, repr=False)
    _names: list[str] = field(default_factory=list, init=False, repr=False)
    _kinds: dict[str, tuple[str, str]] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        """Refuses options that decide about rows and columns."""
        for name in self.options:
            if name in _OURS:
                raise ValueError(
                    f"`{name}` must not be given: all rows are read, in frames of "
                    f"`chunk_rows`, with `columns`. Received: {self.options[name]!r}."
                )
        super().__post_init__()

    @property
    def corrupt(self) -> tuple[type[Exception], ...]:
        return (
            OSError,
            EOFError,
            UnicodeDecodeError,
            zlib.error,
            lzma.LZMAError,
            pd.errors.ParserError,
            pd.errors.EmptyDataError,
        )

    def column_names(self) -> list[str]:
        return self._names

    def pieces(self) -> list[Piece]:
        return [Piece(file) for file in self._readable]

    def identity(self) -> Mapping[str, Any]:
        return {**super().identity(), "options": repr(sorted(self.options.items()))}

    def _read(self, piece: Piece, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        # Without `low_memory` a column of a frame has one type.
        with pd.read_csv(
            piece.file,
            usecols=list(columns),
            chunksize=self.chunk_rows,
            low_memory=False,
            **self.options,
        ) as frames:
            yield from map(partial(self._checked, piece.file, columns), frames)

    def _open(self, file: str) -> None:
        frame = pd.read_csv(file, nrows=0, index_col=False, **self.options)
        names = {str(n): "" for n in frame if not self.columns or n in self.columns}
        if self._readable:
            first = dict.fromkeys(self._names, "")
            check_same_columns(names, file, first, self._readable[0])
        self._readable.append(file)
        self._names = self._names or list(names)

    def _checked(
        self, file: str, columns: Sequence[str], frame: pd.DataFrame
    ) -> pd.DataFrame:
        """Compares the types of columns with those of the frames before."""
        for name in frame.columns:
            kind = value_kind(frame[name])
            if kind == "empty":
                continue
            known, where = self._kinds.setdefault(name, (kind, file))
            if kind != known:
                values = frame[name].dropna().unique().tolist()
                raise TypeError(
                    f"Column {name!r} must hold values of one type. Received: {known} "
                    f"in {where!r} and {kind} in {file!r}, such as "
                    f"{shorten(values, 3)}. Say what it is, e.g. "
                    f"`dtype={{{name!r}: 'str'}}`, or `na_values=` for what means "
                    "that it is missing."
                )
        return frame[columns]
