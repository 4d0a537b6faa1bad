"""What the scaffold writes is a working connector."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from _pytest.pytester import RunResult

from connectors.kit.registry import catalogue
from connectors.kit.scaffold import ScaffoldError, new, render

#: For `suite_of`.
pytest_plugins = ("pytester",)

ROOT = Path(__file__).parents[3]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_new_folder_keeps_the_contract(
    tmp_path: Path, suite_of: Callable[[Path], RunResult]
) -> None:
    new("north_wind", tmp_path)
    done = suite_of(tmp_path / "north_wind")
    assert done.ret == 0
    assert " failed" not in str(done.stdout)


def test_new_folder_is_clean_for_ruff(tmp_path: Path) -> None:
    new("shelf", tmp_path)
    style = ("--isolated", "--line-length", "100")
    rules = ("--select", "E,F,W,I,B,UP,SIM,RUF,C4,PIE,RET,N,DTZ,BLE")
    done = run(tmp_path, "ruff", "check", *style, *rules, ".")
    assert done.returncode == 0, done.stdout
    done = run(tmp_path, "ruff", "format", "--check", *style, ".")
    assert done.returncode == 0, done.stdout


def test_a_new_folder_lists_its_files(tmp_path: Path) -> None:
    written = new("shelf", tmp_path)
    assert sorted(written) == sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert all(path.is_relative_to(tmp_path / "shelf") for path in written)


def test_new_folder_is_found_by_the_registry(tmp_path: Path) -> None:
    new("shelf", tmp_path)
    found = catalogue([tmp_path])
    assert found.problems == ()
    assert found.found["shelf"].manifest.connector == "shelf.connector:ShelfConnector"


def test_no_placeholder_is_left() -> None:
    texts = render("shelf")
    assert "${SHELF_TOKEN}" in texts["README.md"]
    texts["README.md"] = texts["README.md"].replace("${SHELF_TOKEN}", "")
    assert not [path for path, text in texts.items() if "${" in text or "$$" in text]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "shelf").mkdir()
    with pytest.raises(ScaffoldError, match="exists"):
        new("shelf", tmp_path)
    assert list((tmp_path / "shelf").iterdir()) == []


@pytest.mark.parametrize("name", ["Shelf", "my-shelf", "1x", "class", "json", "hub", "", "../x"])
def test_impossible_package_names_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ScaffoldError):
        new(name, tmp_path)
    assert list(tmp_path.iterdir()) == []
