"""Imports point down the table of modules in section 3 of `docs/design.md`."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "kmtl").rglob("*.py"))
# The top of the package gathers what the modules below it offer.
INSIDE = [s for s in SOURCES if s != ROOT / "kmtl" / "__init__.py"]


def path_of(source):
    return str(source.relative_to(ROOT))


def rows():
    """Maps a module or package right below `kmtl` to its row in the design."""
    table = re.findall(
        r"^\| (\d) \| ([^|]+) \|", (ROOT / "docs/design.md").read_text(), re.MULTILINE
    )
    return {
        name: int(row)
        for row, cell in table
        for name in re.findall(r"`(\w+)(?:\.py|/)`", cell)
    }


def part(source):
    """The module or package right below `kmtl` that a file belongs to."""
    return source.relative_to(ROOT / "kmtl").parts[0].removesuffix(".py")


def imported_parts(source):
    """What a file imports from kmtl, as names right below `kmtl`."""
    nodes = list(ast.walk(ast.parse(source.read_text(encoding="utf-8"))))
    names = [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("kmtl.")}


@pytest.mark.parametrize("source", INSIDE, ids=path_of)
def test_every_module_has_a_row_in_the_design(source):
    assert part(source) in rows()


@pytest.mark.parametrize("source", INSIDE, ids=path_of)
def test_imports_point_down(source):
    row = rows()
    outside = imported_parts(source) - {part(source)}
    upward = {name for name in outside if row.get(name, 99) >= row[part(source)]}
    assert not upward, f"{source.name} (row {row[part(source)]}) imports {upward}"


@pytest.mark.parametrize("source", INSIDE, ids=path_of)
def test_no_module_imports_the_top_of_the_package(source):
    tree = ast.walk(ast.parse(source.read_text(encoding="utf-8")))
    plain = [a.name for n in tree if isinstance(n, ast.Import) for a in n.names]
    assert "kmtl" not in plain


def test_the_table_of_the_design_is_read():
    assert {"tasks": 1, "layers": 2, "sharing": 3, "model": 4}.items() <= rows().items()


@pytest.mark.parametrize("extra", ["matplotlib", "sklearn", "torch"])
def test_importing_kmtl_needs_no_extra(extra):
    code = f"import sys, kmtl; sys.exit({extra!r} in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert finished.returncode == 0
