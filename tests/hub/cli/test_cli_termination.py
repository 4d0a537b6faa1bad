"""SIGTERM ends a command with all that it has started, and restores the process."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from hub.cli.app import build


def terminated(*_args: Any, **_options: Any) -> Any:
    """A command that gets SIGTERM while it works."""
    signal.raise_signal(signal.SIGTERM)
    raise AssertionError("SIGTERM did not end the work")


class Twin:
    """A twin that gets SIGTERM as soon as its address is read."""

    def __init__(self) -> None:
        self.running = True

    @property
    def url(self) -> str:
        return str(terminated())

    def stop(self) -> None:
        self.running = False


@pytest.fixture
def before() -> Iterator[Any]:
    """A handler of the process that runs the command."""

    def handler(*_args: Any) -> None:
        raise AssertionError("this handler should not have been asked")

    real = signal.signal(signal.SIGTERM, handler)
    yield handler
    signal.signal(signal.SIGTERM, real)


def test_a_twin_ends_well(before: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    twin = Twin()
    monkeypatch.setattr("hub.cli.twin._start", lambda *_: twin)
    assert CliRunner().invoke(build(), ["twin", "hubspot"]).exit_code == 0
    assert not twin.running
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("command", "work"),
    [("demo", "hub.demo.start.play"), ("rehearse", "worker.rehearse_command._run")],
)
def test_a_story_ends_as_by_ctrl_c(
    command: str, work: str, before: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, terminated)
    assert CliRunner().invoke(build(), [command]).exit_code == 130
    assert signal.getsignal(signal.SIGTERM) is before
