"""Tables in Parquet files."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd

from kmtl._checks import import_extra
from kmtl.data._source import Paths, Piece, Source, check_same_columns, find_files


def read_parquet(
    paths: Paths,
    columns: Sequence[str] | None = None,
    *,
    chunk_rows: int = 32_768,
    seed: int = 0,
    buffer_rows: int = 131_072,
    interleave: int = 8,
    cache: str | os.PathLike[str] | None = None,
    skip_corrupt: bool = False,
) -> Source:
    """Opens a table in Parquet files that need not fit into memory.

    Frames have the dtypes that `pandas.read_parquet` gives. The number of rows comes
    from the metadata. Rows are read in groups, as the files have them: files of many
    large groups, as `pandas` writes them, stream well. Needs `kmtl[parquet]`.

    Args:
        paths: A file, a pattern such as `"train/*.parquet"`, or a list of them. The
            files of a pattern come in the order of their names.
        columns: The columns to read; all by default. The model reads those it needs.
        chunk_rows: The most rows that are read and encoded at once.
        seed: Seed of the order of rows in training, see `Source`.
        buffer_rows: How many encoded rows that order draws from.
        interleave: How many parts of files are read at a time in training.
        cache: A folder that keeps encoded rows and packed labels. The first pass writes
            them, later ones read them in place of the files, in this run and in others.
            What was made of other files, features, tasks or weights is not taken: each
            such combination has a folder of its own inside. Delete it when you like.
        skip_corrupt: Whether to go on without what cannot be read of a file, with a
            warning that counts and names such parts (how many rows they held cannot be
            known); an error by default. Each training then counts the rows in a pass of
            its own.

    Returns:
        The table, which `build_mtl_model`, `fit`, `evaluate` and `predict` take.

    Raises:
        FileNotFoundError: If a path names no file.
        OSError: If a file is corrupt.
        ValueError: If files have other columns or types than the first.
        ImportError: If pyarrow is not installed.

    Example:
        >>> import kmtl, pandas as pd, pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> for part in range(2):
        ...     frame = pd.DataFrame({"x": range(3), "y": [0, 1, part]})
        ...     frame.to_parquet(folder / f"{part}.parquet")
        >>> source = kmtl.data.read_parquet(folder / "*.parquet")
        >>> source.rows, source.column_names()
        (6, ['x', 'y'])
        >>> kmtl.build_mtl_model(source, [kmtl.BinaryTask("y")]).features
        TabularFeatures(numeric=['x'])
    """
    return ParquetSource(
        files=find_files(paths),
        columns=() if columns is None else columns,
        chunk_rows=chunk_rows,
        seed=seed,
        buffer_rows=buffer_rows,
        interleave=interleave,
        cache=cache,
        skip_corrupt=skip_corrupt,
    )


@dataclass(kw_only=True, repr=False)
class ParquetSource(Source):
    """A table in Parquet files, see `read_parquet`."""

    _sizes: dict[str, list[int]] = field(default_factory=dict, init=False, repr=False)
    _types: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Knows the number of rows from the footers of all files."""
        super().__post_init__()
        if not self.skip_corrupt:
            self.rows = sum(map(sum, self._sizes.values()))

    @property
    def corrupt(self) -> tuple[type[Exception], ...]:
        return (OSError, import_extra("pyarrow", "parquet").ArrowException)

    def column_names(self) -> list[str]:
        return list(self._types)

    def pieces(self) -> list[Piece]:
        """Neighbouring row groups that together fit into one frame, or one group."""
        pieces = []
        for file, sizes in self._sizes.items():
            start = rows = 0
            for group, size in enumerate(sizes):
                if group > start and rows + size > self.chunk_rows:
                    pieces.append(Piece(file, tuple(range(start, group))))
                    start, rows = group, 0
                rows += size
            if rows:
                pieces.append(Piece(file, tuple(range(start, len(sizes)))))
        return pieces

    def _read(self, piece: Piece, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        with _opened(piece.file) as opened:
            batches = opened.iter_batches(
                batch_size=self.chunk_rows, row_groups=piece.groups, columns=columns
            )
            yield from map(partial(_frame, columns), batches)

    def _open(self, file: str) -> None:
        with _opened(file) as opened:
            metadata, schema = opened.metadata, opened.schema_arrow
        groups = range(metadata.num_row_groups)
        sizes = [metadata.row_group(group).num_rows for group in groups]
        index = (schema.pandas_metadata or {}).get("index_columns", ())
        types = {
            field.name: "" if str(field.type) == "null" else str(field.type)
            for field in schema
            if field.name not in index
            and (not self.columns or field.name in self.columns)
        }
        if self._sizes:
            check_same_columns(types, file, self._types, next(iter(self._sizes)))
        self._sizes[file] = sizes
        self._types |= {n: t for n, t in types.items() if not self._types.get(n)}


def _frame(columns: Sequence[str], batch: Any) -> pd.DataFrame:
    frame: pd.DataFrame = batch.to_pandas()
    return frame[columns]


def _opened(file: str) -> Any:
    """Opens a file; pages that have checksums are compared with them."""
    parquet = import_extra("pyarrow.parquet", "parquet")
    return parquet.ParquetFile(file, page_checksum_verification=True)
