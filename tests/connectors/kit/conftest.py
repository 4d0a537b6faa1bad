"""Suites of connectors, run inside this process: a child would spend its time on imports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from _pytest.pytester import Pytester, RunResult


@pytest.fixture
def suite_of(pytester: Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], RunResult]:
    """Runs the tests of a folder as its author would: in that folder, with warnings as errors."""

    def run(folder: Path) -> RunResult:
        monkeypatch.chdir(folder)
        return pytester.runpytest_inprocess("-q", "-W", "error", "-p", "no:cacheprovider", "tests")

    return run
