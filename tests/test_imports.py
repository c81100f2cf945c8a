"""Imports point down the table of modules in section 3 of `docs/design.md`."""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "kmtl").rglob("*.py"))
# The top of the package gathers what the modules below it offer.
INSIDE = [s for s in SOURCES if s != ROOT / "kmtl" / "__init__.py"]


def path_of(source):
    return str(source.relative_to(ROOT))


def rows():
    """Maps a module or package right below `kmtl` to its row in the design."""
    table = re.findall(
        r"^\| (\d+) \| ([^|]+) \|", (ROOT / "docs/design.md").read_text(), re.MULTILINE
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
    """What a file imports, as names right below `kmtl`; `""` is `kmtl` itself."""
    nodes = list(ast.walk(ast.parse(source.read_text(encoding="utf-8"))))
    names = [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    ours = [name.split(".") for name in names if name.split(".")[0] == "kmtl"]
    return {name[1] if len(name) > 1 else "" for name in ours}


def upward(source):
    """The imports of a file that do not point down, as text."""
    row_of = rows()
    here = row_of.get(part(source), 99)
    outside = imported_parts(source) - {part(source)}
    # What has no row, as in `from kmtl import BinaryTask`, is the top of the package.
    return [f"{path_of(source)}: {n}" for n in outside if row_of.get(n, 99) >= here]


def top_level_imports(source):
    """The packages a file needs as soon as it is imported."""
    body = ast.parse(source.read_text(encoding="utf-8")).body
    names = [a.name for n in body if isinstance(n, ast.Import) for a in n.names]
    names += [node.module for node in body if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names}


def test_the_table_of_the_design_is_read():
    assert {"tasks", "layers", "sharing", "model", "export"} <= rows().keys()


def test_every_module_has_a_row_in_the_design():
    assert {part(source) for source in INSIDE} <= rows().keys()


def test_imports_point_down():
    assert not [line for source in INSIDE for line in upward(source)]


def test_importing_kmtl_needs_no_extra():
    needed = set().union(*map(top_level_imports, SOURCES))
    required = {"kmtl", "keras", "tensorflow", "pandas", "numpy"}
    assert needed <= required | sys.stdlib_module_names
