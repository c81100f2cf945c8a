"""The file of a comparison: its settings, then a line for each finished training."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kmtl.analysis._runs import Record, Run

_FILE = "runs.jsonl"


class Log:
    """Keeps what is finished, in a folder or in memory only.

    Args:
        folder: Where the file is; `None` for memory.
        settings: What all trainings depend on, as text by name.

    Raises:
        ValueError: If the folder holds a comparison with other settings, or is a file.
    """

    def __init__(self, folder: Path | None, settings: Mapping[str, str]) -> None:
        self.finished: dict[Run, Record] = {}
        self._path: Path | None = None
        if folder is None:
            return
        if folder.is_file():
            raise ValueError(
                f"`folder` must name a folder. Received: a file, {folder}."
            )
        self._path = folder / _FILE
        folder.mkdir(parents=True, exist_ok=True)
        there = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
        lines = there.split("\n")[:-1]  # what follows the last end of line was cut
        if lines:
            _check_settings(_read(lines[0]), settings, self._path)
            self.finished = {_run_of(r): r for r in map(_read, lines[1:]) if r}
        records = [dict(settings), *self.finished.values()]
        text = "".join(f"{json.dumps(record)}\n" for record in records)
        if text != there:
            part = self._path.with_suffix(".part")
            part.write_text(text, encoding="utf-8")
            part.replace(self._path)  # an interruption leaves the old or the new file

    def add(self, record: Record) -> None:
        """Keeps what a training found."""
        self.finished[_run_of(record)] = record
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(record)}\n")


def _run_of(record: Record) -> Run:
    return Run(*(record[field] for field in Run._fields))


def _read(line: str) -> dict[str, Any]:
    """Returns what a line holds; nothing if it is two that became one.

    So they do where one process is killed while another adds to the same file.
    """
    try:
        found: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return found


def _check_settings(old: Mapping[str, str], new: Mapping[str, str], path: Path) -> None:
    changed = [
        f"{name}: {old.get(name)} there, {new.get(name)} now"
        for name in [*new, *(old.keys() - new.keys())]
        if old.get(name) != new.get(name)
    ]
    if changed:
        raise ValueError(
            "`folder` holds a comparison with other settings; name another folder, or "
            f"delete {path.name!r} there to start anew. Received: {'; '.join(changed)}."
        )
