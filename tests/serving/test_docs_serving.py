"""`docs/serving.md`: its tables are those of an export, its code runs."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from rest_double import rest_double
from serving_rules import ServedModels

from kmtl.export._session import Session

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
GOLDEN = ROOT / "saved_models" / "golden"


def first_column(section):
    """The first cells of the first table of a section, as they are written."""
    text = TEXT.split(f"\n## {section}\n")[1].split("\n\n**")[0]
    table = re.search(r"^\|---.*\n((?:\|.*\n)+)", text, re.MULTILINE)[1]
    return [line.split("|")[1].strip() for line in table.splitlines()]


def test_the_table_names_every_signature():
    signatures = json.loads((GOLDEN / "golden.json").read_text())["signatures"]
    named = re.sub(r"_(rich|predict|age)\b", "_<task>", "\n".join(signatures))
    assert {f"`{name}`" for name in named.split("\n")} == set(
        first_column("Signatures")
    )


def test_the_table_names_every_file_of_a_version():
    named = "\n".join(first_column("What is in a version"))
    version = GOLDEN / "1"
    extra = [
        f"assets.extra/{path.name}" for path in (version / "assets.extra").iterdir()
    ]
    files = [path.name for path in version.iterdir() if path.name != "assets.extra"]
    assert [name for name in [*files, *extra] if f"`{name}" not in named] == []


def test_every_file_it_names_exists():
    names = re.findall(r"`((?:docs|examples|benchmarks|tests)/[\w./]+)`", TEXT)
    assert len(names) > 3
    assert [name for name in names if not (ROOT / name).exists()] == []


@pytest.mark.slow
def test_its_code_runs_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope = {}
    *blocks, client = BLOCKS
    exec(compile("".join(blocks), "serving.md", "exec"), scope)
    assert scope["age"].shape == (1, 1)
    assert scope["rich"]["classes"].numpy().tolist() == [[b"no", b"yes"]]
    assert scope["config"].is_file()
    newest = tmp_path / "saved_models" / "people" / "2"
    models = {"people": {2: Session(newest)}}
    with models["people"][2], rest_double(ServedModels(models)) as url:
        here = client.replace("http://localhost:8501", url)
        exec(compile(here, "serving.md", "exec"), scope)
    expected = scope["model"].predict_frame(scope["frame"], verbose=0)
    pd.testing.assert_frame_equal(scope["predicted"], expected, rtol=1e-5)
    pd.testing.assert_frame_equal(scope["ages"], expected[["age"]], rtol=1e-5)
    assert scope["arrays"].keys() == {"rich", "age"}
