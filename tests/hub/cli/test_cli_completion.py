"""What completion offers behind a command, requested as shells do, by their environment."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.kit.registry import manifests
from hub.cli.app import build
from mappings.canonical.entities import ENTITIES

#: Secrets are not set and no system runs: completion needs neither.
CONFIG = """\
connections:
  crm: {system: hubspot, token: "${NOT_SET}"}
  erp: {system: tryton, url: http://127.0.0.1:9, database: x, login: x, password: "${NOT_SET}"}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("TULAY_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tulay.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def offered(line: str) -> list[str]:
    """Returns what bash is offered for the last word of a line (a trailing blank: a new one)."""
    words = shlex.split(line)
    position = len(words) if line.endswith(" ") else len(words) - 1
    env = {"_TULAY_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(position)}
    result = CliRunner().invoke(build(words[1:]), env=env, prog_name="tulay")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout.split()


def offered_by_zsh(line: str) -> list[str]:
    """Returns what zsh is offered for the last word of a line."""
    env = {"_TULAY_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": line}
    result = CliRunner().invoke(build(shlex.split(line)[1:]), env=env, prog_name="tulay")
    assert (result.exit_code, result.stderr) == (0, "")
    return re.findall(r'"([^"]+)"', result.stdout)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "command",
    [
        *("sync", "links list", "links show", "links merge", "explain", "reconcile"),
        *("config policies", "docs entities", "--quiet sync --once"),
    ],
)
def test_entities_are_offered(command: str) -> None:
    assert offered(f"tulay {command} ") == list(ENTITIES)
    assert offered(f"tulay {command} pro") == ["product", "production_order"]
    assert offered(f"tulay {command} x") == []


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "command", ["check", "resume", "links list --connection", "conflicts resolve 1 --take"]
)
def test_connections_are_offered(command: str) -> None:
    assert offered(f"tulay {command} ") == ["crm", "erp"]
    assert offered(f"tulay {command} e") == ["erp"]


@pytest.mark.usefixtures("folder")
def test_what_was_given_is_not_offered_again() -> None:
    assert offered("tulay check crm ") == ["erp"]
    assert offered("tulay sync company contact co") == []
    assert offered("tulay links merge company ") == []


@pytest.mark.usefixtures("folder")
def test_fields_of_the_entity_are_offered() -> None:
    assert offered("tulay explain company acme add")[:2] == ["address", "address.street"]
    assert offered("tulay explain sales_order 17 li") == ["lines"]
    assert offered("tulay explain nonsense acme ") == []


@pytest.mark.usefixtures("folder")
def test_systems_are_offered() -> None:
    """Behind `crm=` in zsh: bash makes a separate word of what follows the sign."""
    every = ["crm=hubspot", "crm=memory", "erp=memory", "erp=tryton"]
    assert offered("tulay init --system ") == offered_by_zsh("tulay init --system ") == every
    assert offered("tulay init --system c") == ["crm=hubspot", "crm=memory"]
    assert offered_by_zsh("tulay init --system crm=") == ["crm=hubspot", "crm=memory"]
    assert offered_by_zsh("tulay init --system crm=memory --system erp=t") == ["erp=tryton"]
    shops = [f"shop={name}" for name in sorted(manifests())]
    assert offered_by_zsh("tulay init --system shop=") == shops


def test_the_named_file_is_read(folder: Path) -> None:
    (folder / "other.yaml").write_text("connections: {shop: }", encoding="utf-8")
    assert offered("tulay check --config other.yaml ") == ["shop"]
    assert offered("tulay --config other.yaml check ") == ["shop"]


@pytest.mark.parametrize(
    "content",
    [None, b"", b"- crm", b"connections: [crm]", b"connections: {", b"\xff\xfe\x00", b"a: \x00"],
    ids=["no file", "empty", "a list", "names only", "broken", "not text", "control"],
)
def test_an_unreadable_file_offers_nothing(folder: Path, content: bytes | None) -> None:
    file = folder / "tulay.yaml"
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    assert offered("tulay check ") == []


@pytest.mark.usefixtures("folder")
def test_zsh_is_offered_the_same() -> None:
    assert offered_by_zsh("tulay resume ") == ["crm", "erp"]
    assert offered_by_zsh("tulay resume e") == ["erp"]


def test_the_program_itself_answers(
    folder: Path, shell: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """A process as a shell starts it; it creates no store."""
    asked = {"_TULAY_COMPLETE": "complete_bash", "COMP_WORDS": "tulay resume ", "COMP_CWORD": "2"}
    done = shell(cwd=folder, **asked)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["crm", "erp"], "")
    assert [path.name for path in folder.iterdir()] == ["tulay.yaml"]
