"""What people see: colours on a terminal, plain lines in a pipe, one JSON document on request.

On a terminal text folds between words at the width there is. In a pipe nothing folds, nothing is
cut: a row of a table and a message are one line each, without tabs and colours. What came from
outside cannot steer the terminal: see `harmless`.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from hub.cli import table_layout
from hub.printable import harmless

if TYPE_CHECKING:  # loaded when a terminal is there
    from rich.console import Console

#: A text on a terminal has at least this much room, however narrow the terminal is.
_LEAST = 24

#: What a word about a state looks like on a terminal.
STYLES = {
    "error": "bold red",
    "failed": "bold red",
    "paused": "bold red",
    "held": "red",
    "different": "red",
    "missing": "red",
    "inconsistent": "bold red",
    "conflict": "yellow",
    "warning": "yellow",
    "waiting": "yellow",
    "ok": "green",
    "done": "green",
    "running": "cyan",
}


@dataclass(frozen=True, slots=True)
class Screen:
    """Where a command's results go: stdout; what went wrong goes to stderr."""

    json: bool = False
    quiet: bool = False

    @property
    def terminal(self) -> bool:
        """True if a person is looking."""
        return sys.stdout.isatty() and not self.json

    def say(self, text: str, style: str = "") -> None:
        """Prints a line of result; nothing when JSON was asked for."""
        if self.json:
            return
        text = harmless(text)
        if self.terminal:
            for line in folded(text, width()):
                self._print([(line, style)])
        else:
            print(text)

    def raw(self, text: str) -> None:
        """Prints text that is laid out already; nothing when JSON was asked for."""
        if not self.json:
            print(text)

    def note(self, text: str) -> None:
        """Prints a remark that is no result: left out with --quiet."""
        if not self.quiet:
            self.say(text, "dim")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
        """Prints rows under their headings, or what to say when there are none."""
        if self.json:
            return
        cells = [[shown(cell) for cell in row] for row in rows]
        if not cells:
            self.note(empty)
        elif self.terminal:
            self._draw(columns, cells)
        else:
            print("\n".join(table_layout.piped(columns, cells)))

    def _draw(self, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
        head, *lines = table_layout.fitted(columns, cells, width())
        self._print([(text, "bold") for text, _ in head])
        for line in lines:
            self._print([(text, "" if n is None else STYLES.get(text, "")) for text, n in line])

    def _print(self, parts: Iterable[tuple[str, str]]) -> None:
        from rich.text import Text

        text = Text.assemble(*parts)
        text.rstrip()
        self._console().print(text, soft_wrap=True)

    def _console(self) -> Console:
        from rich.console import Console

        return Console(file=sys.stdout, highlight=False)

    def document(self, content: Any) -> None:
        """Prints the command's whole result as one JSON document, when that was asked for."""
        if self.json:
            text = orjson.dumps(plain(content), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
            print(text.decode())


def complain(text: str, level: str = "error", *, cause: BaseException | None = None) -> None:
    """Prints a line about what went wrong to stderr; into the log if that is JSON.

    With a `cause`, which is asked for by --debug, it shows where that comes from.
    """
    from hub import logs  # not loaded by commands that have nothing to say

    if logs.logs_json():
        logs.log_message(text, level, cause=cause)
        return
    if cause is not None:
        traceback.print_exception(cause, file=sys.stderr)
    text = harmless(text)
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.text import Text

        line = Text.assemble((f"{level}: ", STYLES.get(level, "")), text)
        Console(stderr=True, highlight=False, soft_wrap=True).print(line)
    else:
        print(f"{level}: {text}", file=sys.stderr)


def width() -> int:
    """Returns how many columns the terminal has."""
    return shutil.get_terminal_size().columns


def folded(text: str, columns: int) -> list[str]:
    """Returns the lines of a text, folded between words; what folds keeps its indent."""
    return [
        part
        for line in text.splitlines()
        for part in textwrap.wrap(
            line,
            max(columns, _LEAST),
            break_long_words=False,
            break_on_hyphens=False,
            subsequent_indent=" " * (len(line) - len(line.lstrip())),
        )
        or [""]
    ] or [""]


def shown(value: Any) -> str:
    """Returns a value as people read it.

    >>> shown(None), shown(True), shown(["a", "b"])
    ('-', 'yes', 'a, b')
    """
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ")
        case list() | tuple():
            return ", ".join(shown(part) for part in value) or "-"
        case _:
            return harmless(" ".join(str(value).split())) or "-"


def ago(then: datetime | None, now: datetime) -> str:
    """Returns how long ago something was.

    >>> ago(None, datetime(2026, 1, 2)), ago(datetime(2026, 1, 1), datetime(2026, 1, 2))
    ('never', '1 d ago')
    """
    if then is None:
        return "never"
    return f"{length(now - then)} ago"


def length(span: timedelta) -> str:
    """Returns a duration in its largest sensible unit.

    >>> length(timedelta(seconds=90)), length(timedelta(seconds=5))
    ('1 min', '5 s')
    """
    seconds = max(int(span.total_seconds()), 0)
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {name}"
    return f"{seconds} s"


def plain(content: Any) -> Any:
    """Returns what JSON can hold."""
    if is_dataclass(content) and not isinstance(content, type):
        return plain(asdict(content))
    match content:
        case Mapping():
            return {str(key): plain(value) for key, value in content.items()}
        case bytes():
            return content.hex()
        case list() | tuple() | set() | frozenset():
            return [plain(part) for part in content]
        case datetime():
            return content.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case timedelta():
            return content.total_seconds()
        case None | str() | int() | float():
            return content
        case _:
            return str(content)
