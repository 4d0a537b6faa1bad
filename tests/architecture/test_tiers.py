"""Tests of a folder run by tier; a test given by name runs whatever its tier."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import TIER_OF_FIXTURE, TIER_OF_PLACE

ROOT = Path(__file__).parents[2]
#: Three files of one folder: with kills, with Redis, and quick.
KILLS, REDIS, PURE = "test_processes.py", "test_remote.py", "test_schedule.py"


class Collected:
    """Records the files whose tests pytest would run."""

    def __init__(self) -> None:
        self.files: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.files = {item.path.name for item in session.items}


@pytest.mark.parametrize(
    ("words", "present", "absent"),
    [
        (["tests/worker"], {PURE}, {KILLS}),
        (["-m", "process", "tests/worker"], {KILLS}, {PURE}),
        (["-m", "", "tests/worker"], {KILLS, REDIS, PURE}, set()),
        ([f"tests/worker/{KILLS}", f"tests/worker/{PURE}"], {KILLS, PURE}, set()),
    ],
    ids=["a folder", "a tier", "all", "by name"],
)
def test_what_pytest_runs(
    monkeypatch: pytest.MonkeyPatch, words: list[str], present: set[str], absent: set[str]
) -> None:
    monkeypatch.chdir(ROOT)
    found = Collected()
    options = ["--collect-only", "-qq", "-n", "0", "-p", "no:cacheprovider"]
    assert pytest.main([*options, *words], plugins=[found]) == 0
    assert present <= found.files
    assert not absent & found.files


def test_tiers_name_what_exists() -> None:
    """A renamed folder or fixture would move slow tests into the quick tier unnoticed."""
    assert [name for name in TIER_OF_PLACE if not (ROOT / name).exists()] == []
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("conftest.py"))
    assert [name for name in TIER_OF_FIXTURE if f"\ndef {name}(" not in sources] == []
