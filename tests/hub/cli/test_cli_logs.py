"""`--log-format` and `--debug`: one line a run, one a record, and never a payload or a secret."""

from __future__ import annotations

import json
import logging
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from connectors.memory import Faults
from hub.cli.app import build
from hub.logs import JsonLines, LogConfig, LogFormat
from worker import child, service

JSON = ("--log-format", "json")


def logged(result: Any) -> list[dict[str, Any]]:
    """Returns the lines of a log; each must be JSON."""
    return [json.loads(line) for line in result.stderr.splitlines()]


def runs(lines: list[dict[str, Any]]) -> list[str]:
    """Returns the messages about runs without their duration."""
    return [one["message"].rpartition(", in ")[0] for one in lines if one["logger"] == "tulay.runs"]


def test_a_sync_logs_one_line_a_run(listed: Any) -> None:
    """What moved where, what was held; nothing about runs in which nothing happened."""
    lines = logged(listed.run("sync", "--once", *JSON, code=1))
    assert runs(lines) == [
        "pull crm.companies: 1 changed, 1 quarantined, of 2 seen",
        "push erp: 1 written",
    ]
    pull = next(one for one in lines if one.get("run_kind") == "pull")
    assert (pull["connection"], pull["stream"], pull["level"]) == ("crm", "companies", "INFO")
    assert (pull["seen"], pull["changed"], pull["quarantined"]) == (2, 1, 1)
    assert pull["seconds"] >= 0
    assert runs(logged(listed.run("sync", "--once", *JSON, code=1))) == []


def test_text_and_json_log_the_same_runs(office: Any) -> None:
    office.crm.create("companies", name="ACME")
    texts = office.run("sync", "--once", "--log-format", "text").stderr.splitlines()
    office.crm.edit("companies", "1", name="Acme SE")
    lines = logged(office.run("sync", "--once", *JSON))
    assert [line.partition(" tulay.runs: ")[2].rpartition(", in ")[0] for line in texts] == [
        "pull crm.companies: 1 changed, of 1 seen",
        "push erp: 1 written",
    ]
    assert len(runs(lines)) == 2


def test_debug_logs_records_by_key_only(listed: Any) -> None:
    result = listed.run("sync", "--once", "--debug", *JSON, code=1)
    records = [one for one in logged(result) if one["logger"] == "tulay.records"]
    golden = records[0]["golden_id"]
    assert [(one["message"], one["level"], one.get("golden_id")) for one in records] == [
        ("crm.companies 1: new", "DEBUG", golden),
        ("crm.companies 2: quarantined (unreadable)", "DEBUG", None),
        ("erp.companies 1: linked", "DEBUG", golden),
        ("erp.companies 1: written", "DEBUG", golden),
        # Read again: the CRM's index lags behind.
        ("crm.companies 2: quarantined (unreadable)", "DEBUG", None),
    ]
    for value in ("ACME", "acme", "Hidden", "SAUCE", "+49"):
        assert value not in json.dumps(records)


def test_other_commands_log_warnings_only(office: Any) -> None:
    office.crm.create("companies", name="ACME")
    assert office.run("sync", "--once").stderr == ""
    assert office.run("status", *JSON).stderr == ""


def test_what_goes_wrong_is_json_as_well(office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the command says on stderr: whoever collects the log need not parse two formats."""
    office.crm.faults = Faults(down=True)
    monkeypatch.setenv("TULAY_LOG_FORMAT", "json")
    lines = logged(office.run("sync", "--once", code=4))
    assert [(one["level"], one["logger"]) for one in lines] == [
        ("WARNING", "tulay.runs"),
        ("ERROR", "tulay.cli"),
    ]
    (error,) = logged(office.run("explain", "compny", "1", code=2))
    assert (error["level"], error["logger"]) == ("ERROR", "tulay.cli")
    assert "did you mean company?" in error["message"]


def test_a_command_leaves_no_handler_behind(office: Any) -> None:
    before = [*logging.getLogger().handlers]
    office.run("status", *JSON)
    assert logging.getLogger().handlers == before


@pytest.mark.parametrize("words", [["--log-format", "json", "--debug"], []])
def test_children_of_serve_inherit_it(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command line says is in the command of each child, which logs accordingly."""
    started: dict[str, list[str]] = {}
    settings = SimpleNamespace(redis_url=None, path="tulay.yaml")
    monkeypatch.setattr(service, "supervise", lambda commands, _: started.update(commands))
    monkeypatch.setattr("hub.cli.session.Session.settings", lambda _: settings)
    monkeypatch.delenv("TULAY_LOG_FORMAT", raising=False)
    monkeypatch.setenv("PYTHONPATH", "")  # `serve` sets it for its children
    assert CliRunner().invoke(build(), ["serve", *words]).exit_code == 0
    assert set(started) == {"web", "worker"}
    seen: list[LogConfig] = []
    monkeypatch.setattr(child, "log_to_stderr", seen.append)
    monkeypatch.setattr(child, "end_with_parent", lambda: None)
    monkeypatch.setattr(child, "load_settings", lambda _: settings)
    for name, command in started.items():
        monkeypatch.setitem(child.CHILDREN, name, lambda _: None)
        monkeypatch.setattr(sys, "argv", command[command.index("worker.child") :])
        child.main()
    expected = LogConfig(LogFormat.JSON, logging.DEBUG) if words else LogConfig()
    assert seen == [expected, expected]


@pytest.mark.parametrize("command", ["serve", "web", "worker", "scheduler"])
def test_each_service_takes_a_format(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option, or the environment; the process logs so from its first line."""
    seen: list[Any] = []

    def run(*_: Any, **__: Any) -> None:
        seen.append([type(one.formatter) for one in logging.getLogger().handlers])

    monkeypatch.setattr("hub.cli.session.Session.settings", lambda _: None)
    target = {"worker": "run_worker", "scheduler": "run_scheduler"}.get(command, command)
    monkeypatch.setattr(service, target, run)
    monkeypatch.setenv("TULAY_LOG_FORMAT", "json")
    assert CliRunner().invoke(build(), [command]).exit_code == 0
    assert JsonLines in seen[0]
    wrong = CliRunner().invoke(build(), [command, "--log-format", "xml"])
    assert wrong.exit_code == 2
