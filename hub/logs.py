"""Logging of a process: to standard error, one line per record, as text or as JSON.

Both show the same records. JSON has their structured fields, known ones only; of an exception both
show its kind and places: neither what a library attaches to a record nor the words of an unexpected
error can bring customer data or a secret into a log.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import TextIO

from hub.printable import one_line
from hub.redaction import redacted

#: Structured fields: the names allowed in `extra=` of a log call, and their meanings.
FIELDS = {
    # A run.
    "run_kind": "pull, sweep, inbox, push, derive, tidy",
    "run": "id of the run",
    "connection": "name of the connection in tulay.yaml",
    "stream": "name of the stream in the system",
    "seen": "records that were read, or quarantined when they were to be written",
    "same": "records that had not changed",
    "changed": "golden records that were created or changed",
    "written": "records that were written",
    "quarantined": "records that could not be read or written",
    "skipped": "reason -> records that were left alone for it",
    "seconds": "duration",
    # A record, at DEBUG.
    "key": "key of the record in the system",
    "golden_id": "id of the golden record",
    "happened": "what happened to the record: see hub/sync/record_log.py",
    "cause": "why it is quarantined or postponed: see hub/model/causes.py",
    # A request to the receivers.
    "method": "HTTP method",
    "path": "path without the query",
    "status": "HTTP status of the answer",
    "milliseconds": "time until the answer",
    # A process.
    "child": "web, worker or scheduler",
    "pid": "process id",
    "exit_code": "how the process ended",
    "pause": "seconds until it starts again",
    "work": "name of a piece of work: its kind, connection and stream",
    "holder": "process whose leases are taken over",
    # Others.
    "error_kind": "class of the error",
    "count": "number of notifications",
    "file": "settings or mapping file",
    "line": "line in the file",
}

#: These write a line per request or job; ours report the same.
_QUIET = ("httpx", "httpcore", "rq.worker", "alembic")

#: The logger of runs: see hub/sync/reporting.py.
_RUNS = "tulay.runs"

#: The exception that `logging` passes to a formatter.
_Caught = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class LogFormat(StrEnum):
    """The format of log lines."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class LogConfig:
    """The level and format of a process's log."""

    format: LogFormat = LogFormat.TEXT
    level: int = logging.INFO
    #: Whether text lines begin with the time and the logger, or only with the level.
    timed: bool = True

    @classmethod
    def of_words(cls, words: Sequence[str]) -> LogConfig:
        """Returns the configuration that a service has received from its parent process.

        >>> LogConfig.of_words(LogConfig(LogFormat.JSON, logging.DEBUG).words()).level
        10
        """
        format_, level = words
        return cls(LogFormat(format_), int(level))

    def words(self) -> list[str]:
        """Returns format and level as arguments of a child process.

        >>> LogConfig().words()
        ['text', '20']
        """
        return [self.format.value, str(self.level)]


class TextLines(logging.Formatter):
    """Formats a record as one line for people."""

    def __init__(self, *, timed: bool) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: " if timed else None)
        self._timed = timed

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        record.asctime = self.formatTime(record)
        head = self._style.format(record) if self._timed else f"{record.levelname.lower()}: "
        return head + one_line(record.getMessage()) + _caught(record.exc_info, before="; ")


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON; the time is UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        at = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name in FIELDS if (value := getattr(record, name, "")) != ""}
        line["error"] = _caught(record.exc_info) or None
        return json.dumps({name: value for name, value in line.items() if value is not None})


def _caught(exc_info: _Caught | None, *, before: str = "") -> str:
    return before + redacted(exc_info[1]) if exc_info and exc_info[1] is not None else ""


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to the current standard error, which progress bars replace."""

    def __init__(self, config: LogConfig) -> None:
        logging.Handler.__init__(self)
        self.config = config
        as_json = config.format is LogFormat.JSON
        self.setFormatter(JsonLines() if as_json else TextLines(timed=config.timed))

    @property
    def stream(self) -> TextIO:  # type: ignore[override] # as logging's own handler of last resort
        """Standard error."""
        return sys.stderr


#: The handler of this process, and the previous levels of loggers.
_installed: list[_Stderr] = []
_before: dict[str, int] = {}


def log_to_stderr(config: LogConfig) -> None:
    """Sends the log of this process to standard error from now on.

    Below INFO are the hub's own loggers only: libraries would log statements with their values.
    """
    stop_logging()
    handler = _Stderr(config)
    _installed.append(handler)
    root = max(config.level, logging.INFO)
    levels = {"": root, "tulay": config.level, **dict.fromkeys(_QUIET, max(root, logging.WARNING))}
    if config.level >= logging.WARNING:
        levels[_RUNS] = logging.CRITICAL  # the command itself shows its runs
    for name, level in levels.items():
        logger = logging.getLogger(name)
        _before[name] = logger.level
        logger.setLevel(level)
    logging.getLogger().addHandler(handler)


def stop_logging() -> None:
    """Removes the handler, and restores the levels of loggers."""
    while _installed:
        logging.getLogger().removeHandler(_installed.pop())
    for name, level in _before.items():
        logging.getLogger(name).setLevel(level)
    _before.clear()


def logs_json() -> bool:
    """Returns True if standard error carries a JSON log."""
    return bool(_installed) and _installed[-1].config.format is LogFormat.JSON


def log_message(text: str, level: str, *, cause: BaseException | None = None) -> None:
    """Logs a command's message to a person: error, warning or note."""
    known = {"error": logging.ERROR, "warning": logging.WARNING}
    log = logging.getLogger("tulay.cli")
    log.log(known.get(level, logging.INFO), "%s", text, exc_info=cause)
