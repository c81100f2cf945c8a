"""`docs/data.md`: its code runs and prints what it says."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
PRINTED = re.findall(r"^```text\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_its_code_runs_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(compile("".join(BLOCKS), "data.md", "exec"), scope)
    printed = capsys.readouterr().out
    assert [text for text in PRINTED if text not in printed] == []
    assert "ParquetSource(4 files, rows=400, rows_per_second=" in printed
    assert scope["features"] == scope["model"].features
    assert scope["predicted"]["a"].shape == (400, 1)
    assert (scope["epoch"], scope["step"]) == (2, 3)
    assert not set(scope["train"]["pupil"]) & set(scope["test"]["pupil"])
    assert scope["past"]["day"].max() < scope["future"]["day"].min()


def test_every_file_it_names_exists():
    names = re.findall(r"`(?:python )?((?:docs|benchmarks)/[\w./]+)`", TEXT)
    assert len(names) > 1
    assert [name for name in names if not (ROOT / name).exists()] == []
