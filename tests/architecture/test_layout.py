"""The layout of the code: sizes, names, and a README in each folder."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("connectors", "mappings", "hub", "worker")
#: Files over the limit, each with its reason. Keep it empty.
LARGE: dict[str, str] = {}
MOST_LINES = 500


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_file_is_longer_than_one_can_read() -> None:
    long = {name(p) for p in sources() if len(p.read_text().splitlines()) > MOST_LINES}
    assert long == set(LARGE)


def test_no_room_is_called_utils_or_core() -> None:
    empty_words = {"utils", "common", "helpers", "core", "const", "base", "services"}
    assert [name(p) for p in sources() if empty_words & {*p.relative_to(ROOT).parts, p.stem}] == []


def test_no_class_is_called_manager_or_helper() -> None:
    empty = re.compile(r"_*(Base|Abstract)(?![a-z])|.*(Manager|Handler|Helper|Service|Util)$")
    found = [
        f"{name(path)}: {node.name}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and empty.match(node.name)
    ]
    assert found == []


def test_every_module_has_a_docstring() -> None:
    silent = [name(p) for p in sources() if ast.get_docstring(ast.parse(p.read_text())) is None]
    assert silent == []


@pytest.mark.parametrize("room", [*PACKAGES, "hub/store", "hub/sync", "hub/web", "hub/cli", "."])
def test_every_room_has_a_readme(room: str) -> None:
    assert (ROOT / room / "README.md").is_file()


def test_every_connector_has_a_readme() -> None:
    folders = [m.parent for m in (ROOT / "connectors").glob("*/manifest.yaml")]
    assert folders
    assert [name(f) for f in folders if not (f / "README.md").is_file()] == []


def test_nothing_is_swallowed() -> None:
    """`except Exception` needs a reason beside it, and never passes silently."""
    found = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler) and len(node.body) == 1:
                broad = node.type is None or ast.unparse(node.type) in (
                    "Exception",
                    "BaseException",
                )
                if broad and isinstance(node.body[0], ast.Pass | ast.Continue):
                    found.append(f"{name(path)}:{node.lineno}")
    assert found == []


def test_sqlite_placeholders_have_no_number() -> None:
    """Early releases of Python 3.12 take `?1` for the name of a parameter, and warn."""
    found = [
        f"{name(path)}:{node.lineno}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(r"= \?\d|[-+(/] \?\d|\?\d [-+/]", node.value)
    ]
    assert found == []
