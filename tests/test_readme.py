"""README's example prints what README shows."""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def words(text):
    return [w for w in text.split() if not re.fullmatch(r"-?[\d.]+", w)]


def numbers(text):
    return [float(w) for w in text.split() if re.fullmatch(r"\d+\.\d+", w)]


@pytest.mark.slow
def test_readme_example_prints_what_it_shows(monkeypatch):
    monkeypatch.chdir(ROOT)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(blocks("python")[0], "README.md", "exec"), {})
    shown = blocks("text")[0]
    assert words(printed.getvalue()) == words(shown)
    # Ages in years: rounding differs a little between processors.
    assert numbers(printed.getvalue()) == pytest.approx(numbers(shown), abs=3)


def test_every_file_that_readme_names_exists():
    names = re.findall(r"`((?:docs|examples)/[\w./]+|\w+\.md)`", README)
    assert len(names) > 5
    assert [name for name in names if not (ROOT / name).exists()] == []
