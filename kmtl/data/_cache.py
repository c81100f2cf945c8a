"""Encoded rows on disk, for the passes after the first."""

import hashlib
import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kmtl.data._order import Rows

# Counts up when what is in the files changes.
_FORMAT = 1


@dataclass(frozen=True)
class ChunkCache:
    """A folder with the chunks of every piece of a source.

    A piece counts once its list of chunks is there, which is written last. So a pass
    that was cut short loses nothing, and leaves nothing that is half.

    Attributes:
        folder: The folder.
    """

    folder: Path

    @classmethod
    def of(cls, folder: str | os.PathLike[str], made_of: Mapping[str, Any]) -> Any:
        """Returns the cache of what is made of certain data in a certain way.

        Args:
            folder: Holds one folder for each of such things.
            made_of: All that the encoded rows depend on.
        """
        text = json.dumps({"format": _FORMAT, **made_of}, default=repr, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        own = Path(folder) / digest
        own.mkdir(parents=True, exist_ok=True)
        (own / "made_of.json").write_text(text)
        return cls(own)

    def chunks(self, piece: int, make: Iterable[Rows]) -> Iterator[Rows]:
        """Reads the chunks of a piece, or makes and writes them.

        Args:
            piece: The number of the piece.
            make: Makes its chunks.

        Raises:
            OSError: If a file of the cache is damaged.
        """
        done = self.folder / f"{piece:06d}.json"
        if done.exists():
            for number in range(json.loads(done.read_text())["chunks"]):
                yield self._load(self._file(piece, number))
            return
        number = 0
        for chunk in make:
            _write(self._file(piece, number), chunk)
            yield chunk
            number += 1
        done.write_text(json.dumps({"chunks": number}))

    def _file(self, piece: int, number: int) -> Path:
        return self.folder / f"{piece:06d}-{number:06d}.npz"

    def _load(self, file: Path) -> Rows:
        try:
            with np.load(file) as arrays:
                return [arrays[f"arr_{i}"] for i in range(len(arrays.files))]
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise OSError(
                f"The cache {str(self.folder)!r} is damaged; delete it. Received: "
                f"{file.name}: {error}."
            ) from error


def _write(file: Path, chunk: Rows) -> None:
    unfinished = file.with_suffix(f".{os.getpid()}.tmp")
    with unfinished.open("wb") as opened:
        np.savez(opened, *chunk)
    unfinished.replace(file)
