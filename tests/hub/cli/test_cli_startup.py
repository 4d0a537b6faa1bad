"""A command loads only the code that it runs: what the short ones must not load.

Which modules are loaded is the same on every machine; how long it takes is not.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.cli import app

ROOT = Path(__file__).resolve().parents[3]

#: Nothing of a system, no HTTP, no web server, no queue, no terminal: `status` reads the store.
HEAVY = (
    *("httpx", "phonenumbers", "pycountry", "stdnum.eu", "nameparser", "rapidfuzz", "cryptography"),
    *("rich", "alembic", "starlette", "uvicorn", "prometheus_client", "rq", "redis", "psycopg"),
    *("connectors.hubspot", "connectors.tryton", "connectors.memory", "pydantic_settings"),
    *(
        "hub.sync.ingest.page",
        "hub.sync.push.batch",
        "hub.sync.ingest.inbox",
        "hub.simulation",
        "worker",
    ),
)
#: `--version` needs the command line itself, and nothing of the hub.
HEAVIER = (
    *HEAVY,
    *("sqlalchemy", "pydantic", "yaml", "hub.settings", "hub.store", "hub.sync", "hub.wiring"),
    *("mappings.canonical", "connectors.kit.registry", "asyncio", "tomllib"),
)

CONFIG = """\
connections:
  crm: {system: hubspot, token: "${TOKEN}"}
  erp: {system: tryton, url: http://127.0.0.1:9, database: x, login: x, password: "${TOKEN}"}
"""


def loaded(*words: str, cwd: Path) -> frozenset[str]:
    """Returns the modules that a command loads in a process of its own."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "hub.cli", *words],
        cwd=cwd,
        env={**kept, "PYTHONPATH": str(ROOT), "TOKEN": "invented"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    found = frozenset(line.rpartition("|")[2].strip() for line in lines)
    assert "hub.cli.app" in found
    return found


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [(("--version",), HEAVIER), (("status",), HEAVY)],
    ids=["version", "status"],
)
def test_a_short_command_loads_little(
    tmp_path: Path, words: tuple[str, ...], unwanted: tuple[str, ...]
) -> None:
    (tmp_path / "tulay.yaml").write_text(CONFIG, encoding="utf-8")
    found = loaded(*words, cwd=tmp_path)
    assert [name for name in unwanted if name in found] == []


def test_only_the_named_command_is_built() -> None:
    def names(*words: str) -> set[str | None]:
        built = app.build(words)
        return {c.name or c.callback.__name__ for c in built.registered_commands if c.callback} | {
            g.name for g in built.registered_groups
        }

    assert names("status") == {"status"}
    assert names("--config", "x.yaml", "--debug", "check", "--prepare") == {"check"}
    assert names("--version") == set()
    everything = names()
    assert {"sync", "serve", "config", "rehearse"} <= everything
    assert names("--help") == names("stauts") == names("serve") == everything


def test_help_lists_every_command() -> None:
    printed = CliRunner().invoke(app.build(["--help"]), ["--help"]).stdout
    for name in ("init", "check", "sync", "status", "config", "serve", "worker", "rehearse"):
        assert f"\n  {name} " in printed, name
