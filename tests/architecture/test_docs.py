"""Documents for contributors: links work, commands exist, decision records have one form."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDERS = [path for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(m for folder in FOLDERS for m in folder.rglob("*.md"))])
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
PACKAGES = ("connectors", "mappings", "hub", "worker")

_FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
#: A Python file, and a folder, in backticks.
_FILE = re.compile(r"`([\w/]+\.py)`")
_ROOM = re.compile(rf"`((?:{'|'.join((*PACKAGES, 'tests'))})[\w/]*)/?`")
_PATH = re.compile(rf"`((?:{'|'.join((*PACKAGES, 'tests', 'docs'))})/[\w./-]*)`")


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def anchors(text: str) -> set[str]:
    """Returns the anchors that GitHub gives to the headings of a document."""
    titles = re.findall(r"^#+ +(.+?) *$", _FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def sessions() -> dict[str, str]:
    """Returns name -> docstring of the sessions of noxfile.py."""
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
            given = {keyword.arg: keyword.value for keyword in keywords}
            if ast.unparse(decorator).startswith("nox.session"):
                name = ast.literal_eval(given["name"]) if "name" in given else node.name
                found[name] = ast.get_docstring(node) or ""
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    broken = []
    for target in _LINK.findall(_FENCED.sub("", document.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (document.parent / path).resolve() if path else document
        if not there.exists() or (
            anchor and there.suffix == ".md" and anchor not in anchors(there.read_text())
        ):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_documents_name_files_that_exist(document: Path) -> None:
    """A path is relative to the page, to the root, or to a room that the page names."""
    if document.name == "CHANGELOG.md":  # it describes the past
        return
    text = document.read_text(encoding="utf-8")
    rooms = [document.parent, ROOT, *(ROOT / room for room in _ROOM.findall(text))]
    named = set(_FILE.findall(_FENCED.sub("", text)))
    assert [
        name
        for name in sorted(named)
        if not any((room / name).exists() or [*room.glob(f"*/{name}")] for room in rooms)
    ] == []


@pytest.mark.parametrize("document", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_the_usual_shape(document: Path) -> None:
    """Context, decision, consequences, on one page; the index lists it."""
    text = document.read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert text.startswith(f"# {document.name[:4]}: ")
    assert 15 <= len(text.splitlines()) <= 45
    assert f"]({document.name})" in (document.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DECISIONS, ids=lambda path: path.stem)
def test_decisions_name_files_that_exist(document: Path) -> None:
    named = _PATH.findall(document.read_text(encoding="utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_decisions_are_numbered_without_gaps() -> None:
    assert [path.name[:4] for path in DECISIONS] == [
        f"{number:04}" for number in range(1, len(DECISIONS) + 1)
    ]
    assert DECISIONS


def test_commands_for_people_are_documented() -> None:
    """CONTRIBUTING lists exactly the sessions of nox; each has a docstring."""
    listed = re.findall(r"^\| `nox -s ([\w-]+)`", (ROOT / "CONTRIBUTING.md").read_text(), re.M)
    assert sorted(listed) == sorted(sessions())
    assert {"test", "test-all", "lint", "types", "bench", "demo"} <= set(listed)
    assert all(sessions().values())


def test_hooks_run_what_ci_runs() -> None:
    """The hooks need no network: they use the tools of the contributor's environment."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    assert {"ruff-check", "ruff-format", "mypy", "import-linter"} <= {hook["id"] for hook in hooks}
    assert {hook["language"] for hook in hooks} == {"system"}


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_ship_their_types(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
    assert "py.typed" in project()["tool"]["setuptools"]["package-data"]["*"]


def test_promised_interpreters_are_named() -> None:
    """The classifiers name each minor version from `requires-python` on, as CI reads them."""
    least = int(project()["project"]["requires-python"].removeprefix(">=3."))
    promised = [
        int(minor)
        for line in project()["project"]["classifiers"]
        if (minor := line.removeprefix("Programming Language :: Python :: 3.")) != line
    ]
    assert promised == list(range(least, max(promised) + 1))
    assert f"Python 3.{least} or newer" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert project()["tool"]["ruff"]["target-version"] == f"py3{least}"
