"""The log: the same records as text and as JSON, known fields only, no words of an error."""

from __future__ import annotations

import ast
import json
import logging
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hub.logs import FIELDS, JsonLines, LogConfig, LogFormat, TextLines, log_to_stderr, stop_logging
from hub.store.runs import Tally
from hub.sync.attempt import Done
from hub.sync.due import Work
from hub.sync.record_log import RecordEvent, log_records
from hub.sync.reporting import facts, log_run

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("connectors", "mappings", "hub", "worker")
PULL = Work("pull", "crm", "deals")


@pytest.fixture(autouse=True)
def log_of_this_process() -> Iterator[None]:
    """Takes the log's handler away after each test."""
    yield
    stop_logging()


def record(message: str, *args: Any, exc_info: Any = None, **extra: Any) -> logging.LogRecord:
    made = logging.getLogger("tulay.worker").makeRecord(
        "tulay.worker", logging.INFO, "here.py", 1, message, args, exc_info, extra=extra
    )
    made.created = 1_800_000_000.25
    return made


def as_json(made: logging.LogRecord) -> dict[str, Any]:
    text = JsonLines().format(made)
    assert "\n" not in text
    return dict(json.loads(text))


def as_text(made: logging.LogRecord) -> str:
    return TextLines(timed=True).format(made)


def test_json_has_the_fields_of_a_run() -> None:
    made = record("pull %s\n2 changed", "crm", **facts(Done(PULL, changed=2, seconds=0.5)))
    assert as_json(made) == {
        "time": "2027-01-15T08:00:00.250Z",
        "level": "INFO",
        "logger": "tulay.worker",
        "message": "pull crm\n2 changed",
        "run_kind": "pull",
        "connection": "crm",
        "stream": "deals",
        "changed": 2,
        "written": 0,
        "seconds": 0.5,
    }


def test_text_is_one_harmless_line() -> None:
    """What a system answers cannot write lines of its own, or steer a terminal."""
    assert as_text(record("refused: %s", "a\n2027 ERROR b \x1b[2J")).endswith(
        " INFO tulay.worker: refused: a\\n2027 ERROR b \\x1b[2J"
    )


def test_an_exception_loses_its_words() -> None:
    """They may be customer data, as may whatever else a library attaches to a record."""
    try:
        raise KeyError("Acme, Dock 1")
    except KeyError:
        caught = sys.exc_info()
    made = record("failed", exc_info=caught, payload="Acme", password="hush")
    line = as_json(made)
    assert set(line) == {"time", "level", "logger", "message", "error"}
    assert line["error"].startswith("KeyError at ")
    assert as_text(made).endswith(f": failed; {line['error']}")
    for word in ("Acme", "hush"):
        assert word not in json.dumps(line) + as_text(made)


def test_every_field_of_a_run_is_known() -> None:
    tally = Tally("r", "pull", "crm", "deals", datetime(2026, 1, 1, tzinfo=UTC))
    assert set(facts(Done(PULL, tally))) <= set(FIELDS)
    assert set(RecordEvent.__dataclass_fields__) <= set(FIELDS)


def test_log_calls_have_known_fields() -> None:
    """What stands in a message stands in a field as well, so that machines need not parse it."""
    without, unknown = [], []
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for call in log_calls(path):
                place = f"{path.relative_to(ROOT)}:{call.lineno}"
                extra = next((k.value for k in call.keywords if k.arg == "extra"), None)
                if extra is None and len(call.args) > 1:
                    without.append(place)
                if isinstance(extra, ast.Dict):
                    keys = [ast.literal_eval(key) for key in extra.keys if key is not None]
                    unknown += [f"{place}: {key}" for key in keys if key not in FIELDS]
    assert (without, unknown) == ([], [])


def log_calls(path: Path) -> Iterator[ast.Call]:
    """Yields the calls `log.info(...)` and their like."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and re.fullmatch(
            r"log\.(debug|info|warning|error|exception)", ast.unparse(node.func)
        ):
            yield node


def test_fields_are_not_those_of_logging() -> None:
    """`logging` refuses a field that would overwrite one of its own."""
    assert not set(FIELDS) & set(vars(record("x")))


def test_both_formats_show_the_same_records(capsys: pytest.CaptureFixture[str]) -> None:
    shown = {}
    for form in LogFormat:
        log_to_stderr(LogConfig(form))
        hub: Any = None  # it is asked only about runs that have counts
        log_run(hub, Done(PULL, changed=2, seconds=0.5))
        log_run(hub, Done(PULL))
        log_run(hub, Done(PULL, well=False, error="crm does not answer"))
        shown[form] = capsys.readouterr().err.splitlines()
    said = [json.loads(line) for line in shown[LogFormat.JSON]]
    assert [line["message"] for line in said] == [
        "pull crm.deals: 2 changed, in 0.5 s",
        "pull crm deals: crm does not answer",
    ]
    for line, text in zip(said, shown[LogFormat.TEXT], strict=True):
        assert text.endswith(f" {line['level']} {line['logger']}: {line['message']}")


def test_debug_is_for_our_loggers(capsys: pytest.CaptureFixture[str]) -> None:
    """Libraries would log statements with their values."""
    log_to_stderr(LogConfig(LogFormat.JSON, logging.DEBUG))
    for name in ("tulay.records", "sqlalchemy.engine", "httpx", "httpcore", "rq.worker", "other"):
        logging.getLogger(name).debug("from %s", name)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(one["level"], one["logger"]) for one in lines] == [("DEBUG", "tulay.records")]


def test_stopping_gives_everything_back() -> None:
    names = ("", "tulay", "httpx", "tulay.runs")

    def state() -> list[Any]:
        return [(logging.getLogger(n).level, [*logging.getLogger(n).handlers]) for n in names]

    before = state()
    log_to_stderr(LogConfig(level=logging.WARNING, timed=False))
    log_to_stderr(LogConfig(LogFormat.JSON, logging.DEBUG))
    assert state() != before
    stop_logging()
    assert state() == before


def test_records_cost_nothing_without_debug() -> None:
    def events() -> Any:
        raise AssertionError("asked for records although DEBUG is off")

    log_to_stderr(LogConfig())
    log_records(events)
    log_to_stderr(LogConfig(level=logging.DEBUG))
    with pytest.raises(AssertionError, match="asked"):
        log_records(events)
