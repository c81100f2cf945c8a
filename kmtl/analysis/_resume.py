"""The file of a comparison: its settings, then a line for each finished training."""

import json
from collections.abc import Mapping
from pathlib import Path

from kmtl.analysis._runs import Record, Run

_FILE = "runs.jsonl"


class Log:
    """Keeps what is finished, in a folder or in memory only.

    Args:
        folder: Where the file is; `None` for memory.
        settings: What all trainings depend on, as text by name.

    Raises:
        ValueError: If the folder holds a comparison with other settings.
    """

    def __init__(self, folder: Path | None, settings: Mapping[str, str]) -> None:
        self.finished: dict[Run, Record] = {}
        self._path = None if folder is None else folder / _FILE
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = _whole_lines(self._path)
        if lines:
            _check_settings(json.loads(lines[0]), settings, self._path)
            self.finished = {_run_of(r): r for r in map(json.loads, lines[1:])}
        else:
            lines = [json.dumps(dict(settings))]
        # Without the rest of a line that an interruption has cut.
        self._path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def add(self, record: Record) -> None:
        """Keeps what a training found."""
        self.finished[_run_of(record)] = record
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(record)}\n")


def _run_of(record: Record) -> Run:
    return Run(*(record[field] for field in Run._fields))


def _whole_lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    return path.read_text(encoding="utf-8").split("\n")[:-1]


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
