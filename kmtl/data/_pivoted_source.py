"""A table in files whose rows belong to one task each, with a column a task."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from kmtl.data._source import Piece, Source


@dataclass(kw_only=True, repr=False)
class PivotedSource(Source):
    """Another source, frame by frame in its wide form; see `pivot_labels`.

    Attributes:
        of: The source.
        spent: The columns that the others are made of: of tasks and of labels.
        names: The new columns.
        pivot: Gives a frame of the source its new columns, told how many rows of a
            piece came before it.
    """

    of: Source
    spent: Sequence[str]
    names: Sequence[str]
    pivot: Callable[[pd.DataFrame, int], pd.DataFrame]

    def __post_init__(self) -> None:
        """Knows what the source knows."""
        super().__post_init__()
        self.rows, self.broken = self.of.rows, self.of.broken
        self._stamps = self.of._stamps

    @property
    def corrupt(self) -> tuple[type[Exception], ...]:
        return self.of.corrupt

    def _open(self, file: str) -> None:
        """Nothing: the source has opened its shards."""

    def column_names(self) -> list[str]:
        found = list(self.of.columns) or self.of.column_names()
        return [name for name in found if name not in self.spent] + list(self.names)

    def pieces(self) -> list[Piece]:
        return self.of.pieces()

    def identity(self) -> Mapping[str, Any]:
        made_of = {"spent": list(self.spent), "names": list(self.names)}
        return {**self.of.identity(), **made_of}

    def _read(self, piece: Piece, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        given = [name for name in columns if name not in self.names]
        rows = 0
        for frame in self.of._read(piece, [*given, *self.spent]):
            if not len(frame):
                continue
            try:
                wide = self.pivot(frame, rows)
            except ValueError as error:
                where = f"rows {rows} to {rows + len(frame) - 1}{_counted(piece)}"
                raise ValueError(f"Shard {piece.file!r}, {where}: {error}") from error
            rows += len(frame)
            yield wide[list(columns)]


def _counted(piece: Piece) -> str:
    """Says where rows are counted from, if that is not the start of the shard."""
    first = piece.groups[0] if piece.groups else 0
    return f" from row group {first} on" if first else ""
