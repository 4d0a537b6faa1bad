"""The demo ends with both systems equal: on a real Tryton, over the command line."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.demo.systems import check_installed
from hub.errors import SettingsError

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "hub.cli", "demo", "--customers", "60"]


def started(folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *options],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder), "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="demo-test-") as path:
        yield Path(path)


def test_the_demo_ends_with_both_sides_same(folder: Path) -> None:
    """The one end-to-end test of the quick suite with a real Tryton: sales, production,
    invoices."""
    process = started(folder, "--json")
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, f"{out}\n{err}"
    assert err == ""
    report = json.loads(out)
    assert report["differences"] == 0
    assert report["writes_second_run"] == 0

    # Of 60 in the CRM and 25 in the ERP, 15 are the same: 70 customers, each in both systems.
    assert report["matched_not_duplicated"] == 15
    assert report["links"]["company"] == 2 * 70

    # Won deals become orders, productions and invoices.
    assert report["orders"] == 8
    assert report["links"]["sales_order"] == 2 * 8
    assert report["productions"] == report["links"]["production_order"] > 0
    assert 0 < report["invoices"] < 8

    assert report["conflicts"] == 1
    assert report["seconds"] > 0
    assert list(folder.iterdir()) == []  # nothing is left behind


def test_without_tryton_it_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Tryton the demo names the package to install."""

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(SettingsError, match=re.escape("pip install 'tulay[demo]'")):
        check_installed()


@pytest.mark.server
@pytest.mark.process
def test_an_interrupted_demo_removes_everything(folder: Path) -> None:
    process = started(folder)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("1. "):  # both systems are running by now
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, f"{out}\n{err}"
    assert err.endswith("stopped\n")
    assert list(folder.iterdir()) == []
