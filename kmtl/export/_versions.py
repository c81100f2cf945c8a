"""Numbered versions of a model in a folder that a server watches."""

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kmtl._checks import as_path
from kmtl.serving._version_folders import numbered_folders, version_folders

_UNFINISHED = ".export-"
# An export takes minutes at most: what is older was left by a process that was killed.
_ABANDONED_SECONDS = 24 * 60 * 60


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """Returns the folder of a model, made if absent.

    Raises:
        TypeError: If it is no path.
        ValueError: If it is the address of a store that cannot rename folders.
        NotADirectoryError: If it is a file.
        OSError: If nothing can be written there.
    """
    base, text = as_path(folder, "folder"), os.fspath(folder)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        raise ValueError(
            "`folder` must be on a disk of this machine: a version appears there by "
            f"renaming a folder, which object stores cannot. Received: {text!r}. "
            "Export to a local folder, copy the version, and only then name it in the "
            "`models.config` of the server."
        )
    if base.exists() and not base.is_dir():
        raise NotADirectoryError(f"`folder` must be a folder. Received: {text!r}.")
    try:
        base.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=base).close()
    except OSError as error:
        message = f"`folder` must be a folder that can be written ({error.strerror})"
        raise OSError(error.errno, message, text) from error
    return base


@contextlib.contextmanager
def unfinished(base: Path) -> Iterator[Path]:
    """A folder on the same disk whose name no server takes for a version.

    It is gone afterwards, whatever happens. What a killed process left is removed by
    an export on a later day.
    """
    _remove_abandoned(base)
    outer = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=base))
    try:
        yield outer / "model"
    finally:
        shutil.rmtree(outer, ignore_errors=True)


def rename_to_next_version(finished: Path, base: Path) -> Path:
    """Makes a folder the next version, with a number that no other export gets."""
    while True:
        target = base / str(max(numbered_folders(base), default=0) + 1)
        try:
            finished.rename(target)
        except OSError:
            if not target.exists():
                raise
            continue  # another export has just taken the number
        return target


def prune(base: Path, keep: int) -> None:
    """Removes all but the newest versions, each first renamed and then deleted."""
    for path in list(version_folders(base).values())[:-keep]:
        # Another export may have pruned it already.
        with unfinished(base) as place, contextlib.suppress(FileNotFoundError):
            path.rename(place)


def _remove_abandoned(base: Path) -> None:
    for path in base.glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
