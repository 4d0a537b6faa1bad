"""One-word commands for people: `nox -s test`, `nox -s lint`; `nox -l` lists them.

They use the environment that is active, or `.venv`, wherever nox itself is installed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "test"]

_IMPORT_LINTER = "from importlinter.cli import lint_imports_command as lint; lint()"


def _python(session: nox.Session, *arguments: str) -> None:
    """Runs the environment's Python, which need not be the first on PATH."""
    environments = (os.environ.get("VIRTUAL_ENV"), Path(__file__).parent / ".venv")
    found = [path for one in environments if one and (path := Path(one, "bin", "python")).exists()]
    session.run(str(found[0]) if found else sys.executable, *arguments)


@nox.session
def test(session: nox.Session) -> None:
    """The quick tests; arguments after `--` go to pytest."""
    _python(session, "-m", "pytest", *session.posargs)


@nox.session(name="test-all")
def test_all(session: nox.Session) -> None:
    """All tiers: PostgreSQL, Redis, Tryton in full, killed processes, simulations."""
    _python(session, "-m", "pytest", "-m", "", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting, and which package may import which."""
    _python(session, "-m", "ruff", "check", ".")
    _python(session, "-m", "ruff", "format", "--check", ".")
    _python(session, "-c", _IMPORT_LINTER)


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict on the four packages."""
    _python(session, "-m", "mypy")


@nox.session
def bench(session: nox.Session) -> None:
    """Reading speed against a script that only stores the raw pages."""
    _python(session, "-m", "tests.bench.reading", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """A working day between a HubSpot twin and a real Tryton, on this machine only."""
    _python(session, "-m", "hub.cli", "demo", *session.posargs)


@nox.session
def fix(session: nox.Session) -> None:
    """Repairs what ruff can repair, and formats."""
    _python(session, "-m", "ruff", "check", "--fix", ".")
    _python(session, "-m", "ruff", "format", ".")


@nox.session
def ci(session: nox.Session) -> None:
    """Everything that must pass before a merge, from a clean copy of the tree."""
    session.run(".ci/run", external=True)
