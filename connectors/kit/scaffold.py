"""Writes a new connector folder: a complete one, for a small API that its own twin plays.

The author starts from working code. Refuses names that cannot be a package and never
overwrites.
"""

from __future__ import annotations

import keyword
import re
import sys
from pathlib import Path
from string import Template

_TEMPLATE = Path(__file__).with_name("template")

#: Template -> its path in the new folder.
_FILES = {
    "__init__.py": "__init__.py",
    "manifest.yaml": "manifest.yaml",
    "customers.yaml": "customers.yaml",
    "connector.py": "connector.py",
    "client.py": "client.py",
    "webhooks.py": "webhooks.py",
    "twin.py": "twin.py",
    "README.md": "README.md",
    "conftest.py": "tests/conftest.py",
    "test_contract.py": "tests/test_${name}_contract.py",
}


class ScaffoldError(Exception):
    """The folder cannot be written; the message says why and what to do."""


def new(name: str, folder: Path) -> list[Path]:
    """Writes the folder `folder/name` and returns the files in it. Raises: ScaffoldError."""
    _check_name(name)
    target = folder / name
    if target.exists():
        raise ScaffoldError(f"{target} exists; choose another name or remove it")
    written = []
    for path, text in render(name).items():
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        written.append(file)
    return written


def render(name: str) -> dict[str, str]:
    """Returns path inside the folder -> text, for a connector with this name."""
    title = name.replace("_", " ").title()
    words = {
        "name": name,
        "NAME": name.upper(),
        "Name": title.replace(" ", ""),
        "title": title,
    }
    return {
        Template(path).substitute(words): Template(_read(source)).substitute(words)
        for source, path in _FILES.items()
    }


def _read(source: str) -> str:
    return (_TEMPLATE / f"{source}.tmpl").read_text(encoding="utf-8")


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ScaffoldError(
            f"{name!r} cannot be a connector: use lower-case letters, digits and underscores, "
            "beginning with a letter"
        )
    if name in sys.stdlib_module_names or name in {"connectors", "mappings", "hub", "worker"}:
        raise ScaffoldError(f"{name!r} is the name of another package; add a word to it")
