"""A CRM and an ERP, both memory systems in files, and the command line beside them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from connectors.memory import MemorySystem
from hub.cli.app import build
from hub.cli.screen import Screen

ROOT = Path(__file__).resolve().parents[3]
SECRET = "pa55-w0rd-that-nobody-may-see"

CONFIG = """\
mappings: [maps]
connections:
  crm:
    system: memory
    path: {folder}/crm.db
    password: ${{CRM_PASSWORD}}
  erp:
    system: memory
    path: {folder}/erp.db
policies:
  company:
    default: {{on_first_match: ask}}
"""

COMPANY = """\
entity: company
stream: companies
requires: [name]
fields:
  name: name
  domain: domain
  phone: phone
  industry: {field: industry, custom: true}
"""


app = cache(build)


@dataclass
class Office:
    """The two systems, and the commands that a person types."""

    folder: Path
    crm: MemorySystem
    erp: MemorySystem

    @property
    def config(self) -> Path:
        return self.folder / "tulay.yaml"

    def run(self, *words: str, code: int | None = 0, text: str | None = None) -> Result:
        """Runs a command in this process; `text` is what the person answers."""
        result = CliRunner().invoke(app(), [*words, "--config", str(self.config)], input=text)
        if code is not None:
            assert result.exit_code == code, result.output
        assert SECRET not in result.output
        assert "Traceback" not in result.output
        return result

    def json(self, *words: str, code: int = 0) -> Any:
        """Runs a command and reads its one JSON document."""
        return json.loads(self.run(*words, "--json", code=code).stdout)

    def lines(self, *words: str, code: int = 0) -> list[str]:
        """Runs a command in a pipe; checks that its output is plain."""
        return plain(self.run(*words, code=code).stdout)

    def drawn(self, *words: str, width: int = 80, code: int = 0) -> list[str]:
        """Runs a command on a terminal of this width; checks that its lines fit."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("COLUMNS", str(width))
            patch.setattr(Screen, "terminal", property(lambda screen: not screen.json))
            lines = plain(self.run(*words, code=code).stdout)
        for line in lines:
            assert len(line) <= width, line
        return lines


def plain(text: str) -> list[str]:
    """Returns the lines of a text; checks that it contains no control sequences."""
    lines = text.splitlines()
    for line in lines:
        assert "\t" not in line
        assert "\x1b" not in line
        assert line == line.rstrip()
    return lines


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """A CRM with a password and an ERP without; nothing is in sync yet."""
    for name in ("TULAY_CONFIG", "TULAY_DATABASE", "TULAY_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CRM_PASSWORD", SECRET)
    (tmp_path / "maps" / "memory").mkdir(parents=True)
    (tmp_path / "maps" / "memory" / "company.yaml").write_text(COMPANY, encoding="utf-8")
    (tmp_path / "tulay.yaml").write_text(CONFIG.format(folder=tmp_path), encoding="utf-8")
    crm = MemorySystem.named("memory", path=str(tmp_path / "crm.db"))
    crm.password = SECRET
    return Office(tmp_path, crm, MemorySystem.named("memory", path=str(tmp_path / "erp.db")))


@pytest.fixture
def agreed(office: Office) -> Office:
    """One company that both systems have and agree on."""
    office.crm.create("companies", name="ACME", domain="acme.example", phone="+4930111111")
    office.run("sync", "--once")
    return office


@pytest.fixture
def clash(agreed: Office) -> Office:
    """Its name was changed in both systems, and the hub cannot tell which is right."""
    agreed.crm.edit("companies", "1", name="Acme SE")
    agreed.erp.edit("companies", "1", name="Acme AG")
    agreed.run("sync", "--once", code=1)
    return agreed


@pytest.fixture
def listed(office: Office) -> Office:
    """The mapping lists the industries; the CRM has a company with another one."""
    path = office.folder / "maps" / "memory" / "company.yaml"
    text = path.read_text(encoding="utf-8")
    new = "industry: {field: industry, lens: enum, values: {ART: arts}}"
    path.write_text(text.replace("industry: {field: industry, custom: true}", new), "utf-8")
    office.crm.create("companies", name="ACME", domain="acme.example", phone="+4930111111")
    office.crm.create("companies", name="Hidden", industry="SECRET SAUCE")
    return office


@pytest.fixture
def shell() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `tulay` in its own process, in a pipe."""

    def run(*words: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return subprocess.run(
            [sys.executable, "-m", "hub.cli", *words],
            cwd=cwd,
            env={**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "80", **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
