"""Tables in TFRecord files of `tf.Example`s."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from kmtl._checks import check_choice, check_mapping, shorten
from kmtl.data._source import Paths, Piece, Source, find_files
from kmtl.features import DateColumn, TabularFeatures
from kmtl.features._examples import (
    MISSING_IN_EXAMPLES,
    example_feature,
    example_kind,
)


def read_tfrecord(  # noqa: PLR0913 - one keyword a setting
    paths: Paths,
    columns: Mapping[str, str] | None = None,
    *,
    features: TabularFeatures | None = None,
    chunk_rows: int = 32_768,
    seed: int = 0,
    buffer_rows: int = 131_072,
    interleave: int = 8,
    cache: str | os.PathLike[str] | None = None,
    skip_corrupt: bool = False,
) -> Source:
    """Opens a table in TFRecord files of `tf.Example`s that need not fit into memory.

    An example is a row, with one value a column. A value that it lacks is missing. The
    values are kept as in the examples that an export serves. Examples do not tell what
    columns there are, so `columns` does, or `features` for those it has. Files that end
    in `.gz` are read as GZIP. The number of rows is known after the first pass.

    Args:
        paths: As in `read_parquet`.
        columns: By name `"number"` (kept as float32), `"integer"` (int64), `"boolean"`
            (int64: 1, 0, -1 for missing), `"date"` (int64: seconds since 1970) or
            `"string"` (UTF-8 bytes, empty for missing).
        features: The features of a model, which tell how their columns are kept.
        chunk_rows: As in `read_parquet`.
        seed: As in `read_parquet`.
        buffer_rows: As in `read_parquet`.
        interleave: As in `read_parquet`, of files.
        cache: As in `read_parquet`.
        skip_corrupt: As in `read_parquet`.

    Returns:
        The table, which `build_mtl_model`, `fit`, `evaluate` and `predict` take.

    Raises:
        FileNotFoundError: If a path names no file.
        OSError: If a file is corrupt.
        ValueError: If no columns are named, or a value is of another type.

    Example:
        >>> import kmtl, pathlib, tempfile, tensorflow as tf
        >>> file = str(pathlib.Path(tempfile.mkdtemp()) / "points.tfrecord")
        >>> with tf.io.TFRecordWriter(file) as writer:
        ...     for x in (0.5, 1.5):
        ...         kept = tf.train.Feature(float_list=tf.train.FloatList(value=[x]))
        ...         row = tf.train.Features(feature={"x": kept})
        ...         writer.write(tf.train.Example(features=row).SerializeToString())
        >>> source = kmtl.data.read_tfrecord(file, {"x": "number", "y": "integer"})
        >>> next(iter(source))
             x     y
        0  0.5  <NA>
        1  1.5  <NA>
    """
    columns = {} if columns is None else columns
    check_mapping(columns, "columns", "types by column name")
    known = () if features is None else features.columns
    return TFRecordSource(
        files=find_files(paths),
        types={column.name: example_kind(column) for column in known} | {**columns},
        aware={c.name for c in known if isinstance(c, DateColumn) and c.aware},
        chunk_rows=chunk_rows,
        seed=seed,
        buffer_rows=buffer_rows,
        interleave=interleave,
        cache=cache,
        skip_corrupt=skip_corrupt,
    )


@dataclass(kw_only=True, repr=False)
class TFRecordSource(Source):
    """A table in TFRecord files, see `read_tfrecord`."""

    types: Mapping[str, str]
    aware: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Refuses types that examples do not have."""
        if not self.types:
            raise ValueError(
                "`columns` must name at least one column, or `features` be given. "
                "Received: none."
            )
        for name, kept_as in self.types.items():
            check_choice(kept_as, tuple(MISSING_IN_EXAMPLES), f"columns[{name!r}]")
        super().__post_init__()

    @property
    def corrupt(self) -> tuple[type[Exception], ...]:
        return (OSError, tf.errors.DataLossError)

    def _open(self, file: str) -> None:
        """Nothing: such files tell nothing of themselves."""

    def column_names(self) -> list[str]:
        return list(self.types)

    def pieces(self) -> list[Piece]:
        return [Piece(file) for file in self.files]

    def identity(self) -> Mapping[str, Any]:
        return {**super().identity(), "types": {**self.types}}

    def _read(self, piece: Piece, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        compression = "GZIP" if piece.file.endswith(".gz") else ""
        spec = {name: example_feature(self.types[name]) for name in columns}
        records = tf.data.TFRecordDataset(piece.file, compression)
        batches = records.batch(self.chunk_rows)
        yield from map(partial(self._frame, piece.file, spec), batches)

    def _frame(
        self, file: str, spec: Mapping[str, Any], serialized: Any
    ) -> pd.DataFrame:
        try:
            parsed = tf.io.parse_example(serialized, spec)
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(
                f"The examples of {file!r} must hold one value of the type that "
                f"`columns` names. Received: {error.message} Types: {self.types}."
            ) from error
        return pd.DataFrame(
            {name: self._column(name, parsed[name].numpy()) for name in spec}
        )

    def _column(self, name: str, values: np.ndarray) -> Any:
        kept_as = self.types[name]
        if kept_as == "number":
            return values.astype(np.float64)
        if kept_as == "string":
            return pd.Series([_text(name, value) for value in values], dtype="str")
        missing = values == MISSING_IN_EXAMPLES[kept_as]
        if kept_as == "date":
            dates = pd.Series(values.astype("datetime64[s]")).mask(missing)
            return dates.dt.tz_localize("UTC") if name in self.aware else dates
        if kept_as == "boolean":
            return pd.arrays.BooleanArray(values == 1, missing)
        return pd.arrays.IntegerArray(values, missing) if missing.any() else values


def _text(name: str, value: bytes) -> str | None:
    try:
        return value.decode() or None
    except UnicodeDecodeError as error:
        raise OSError(
            f"column {name!r} must hold UTF-8, and has {shorten([value], 1)}"
        ) from error
