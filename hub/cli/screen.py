"""What people see: Rich on a terminal, plain aligned lines in a pipe, one JSON document on request.

Plain lines have no tabs and no colours and fit into 80 columns; only a word that is longer than a
line may stick out. What came from outside cannot steer the terminal: see `harmless`.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:  # loaded when a terminal is there
    from rich.console import Console

WIDTH = 80
_GAP = 2
#: The last column of a plain table has at least so much room, or goes to a line of its own.
_LEAST = 24

#: What a word about a state looks like on a terminal.
STYLES = {
    "error": "bold red",
    "red": "bold red",
    "failed": "bold red",
    "paused": "bold red",
    "buried": "red",
    "different": "red",
    "missing": "red",
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
        """Whether a person is looking."""
        return sys.stdout.isatty() and not self.json

    def say(self, text: str, style: str = "") -> None:
        """Prints a line of result; nothing when JSON was asked for."""
        if self.json:
            return
        text = harmless(text)
        if self.terminal:
            from rich.text import Text

            self._console().print(Text(text, style=style))
        else:
            print("\n".join(wrapped(text)))

    def raw(self, text: str) -> None:
        """Prints text that has a layout of its own; nothing when JSON was asked for."""
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
            print("\n".join(aligned(columns, cells)))

    def _draw(self, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column.upper(), overflow="fold")
        for row in cells:
            table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
        self._console().print(table)

    def _console(self) -> Console:
        from rich.console import Console

        return Console(file=sys.stdout, highlight=False)

    def document(self, content: Any) -> None:
        """Prints the command's whole result as one JSON document, when that was asked for."""
        if self.json:
            text = orjson.dumps(plain(content), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
            print(text.decode())


def complain(text: str, level: str = "error") -> None:
    """Prints a line about what went wrong to stderr."""
    text = harmless(text)
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.text import Text

        line = Text.assemble((f"{level}: ", STYLES.get(level, "")), text)
        Console(stderr=True, highlight=False, soft_wrap=True).print(line)
    else:
        print(f"{level}: {text}", file=sys.stderr)


def aligned(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """Returns plain lines in columns; the last column folds.

    >>> aligned(["name", "n"], [["ACME", "1"], ["Globex", "20"]])
    ['NAME    N', 'ACME    1', 'Globex  20']
    """
    head = [column.upper() for column in columns]
    widths = [max(len(row[n]) for row in (head, *cells)) for n in range(len(head) - 1)]
    start = sum(widths) + _GAP * len(widths)
    below = start > WIDTH - _LEAST and any(len(row[-1]) > WIDTH - start for row in cells)
    lines: list[str] = []
    for row in (head, *cells):
        first = "".join(c.ljust(w + _GAP) for c, w in zip(row[:-1], widths, strict=True))
        if below:
            lines += [*wrapped(first.rstrip()), *(f"    {part}" for part in wrapped(row[-1], 4))]
            continue
        parts = wrapped(row[-1], start) or [""]
        lines.append(f"{first}{parts[0]}".rstrip())
        lines += [f"{' ' * start}{part}" for part in parts[1:]]
    return lines


def wrapped(text: str, indent: int = 0) -> list[str]:
    """Returns the lines of a text, folded at words so that they fit behind an indent."""
    width = max(WIDTH - indent, _LEAST)
    return [
        part
        for line in text.splitlines()
        for part in textwrap.wrap(
            line,
            width,
            break_long_words=False,
            break_on_hyphens=False,
            subsequent_indent=" " * (len(line) - len(line.lstrip())),
        )
        or [""]
    ]


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


#: Controls (but line ends), and marks that change the direction in which a line is read.
_STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    r"""Returns a text that cannot move the cursor, set titles or colours, or turn a line around.

    >>> harmless("Acme \x1b[2J\u202egnp.exe")
    'Acme \\x1b[2J\\u202egnp.exe'
    """
    return _STEERING.sub(lambda found: repr(found.group())[1:-1], text)


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
