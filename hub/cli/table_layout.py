"""Lays out tables: one line a row for pipes, fitted to the width of a terminal for people.

Words are never broken and nothing is cut off: what does not fit continues below, in its column. A
table whose words do not fit side by side becomes one block a row.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

Row = Sequence[str]
#: A line of a table: (text, number of its column, or None for what stands between).
Line = list[tuple[str, int | None]]

_GAP = "  "


def piped(columns: Row, cells: Iterable[Row]) -> list[str]:
    """Returns aligned lines, one a row.

    >>> piped(["name", "n"], [["ACME", "1"], ["Globex", "20"]])
    ['NAME    N', 'ACME    1', 'Globex  20']
    """
    rows = [[column.upper() for column in columns], *cells]
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    return [text_of(_side_by_side(row, widths)) for row in rows]


def fitted(columns: Row, cells: Iterable[Row], width: int) -> list[Line]:
    """Returns the heading and the rows as lines that fit into a width.

    >>> table = fitted(["no", "what"], [["1", "ACME is Acme"]], 10)
    >>> [text_of(line) for line in table]
    ['NO  WHAT', '1   ACME', '    is', '    Acme']
    """
    head, rows = [column.upper() for column in columns], [list(row) for row in cells]
    widths = _shares([head, *rows], width)
    if widths is None:
        return _blocks(head, rows, width)
    lines: list[Line] = []
    for row in (head, *rows):
        parts = [wrapped(cell, share) for cell, share in zip(row, widths, strict=True)]
        for n in range(max(map(len, parts))):
            lines.append(_side_by_side([p[n] if n < len(p) else "" for p in parts], widths))
    return lines


def text_of(line: Line) -> str:
    """Returns a line without its columns."""
    return "".join(text for text, _ in line).rstrip()


def wrapped(text: str, width: int) -> list[str]:
    """Returns a text in lines of whole words; a word that is longer than a line sticks out.

    >>> wrapped("quarantined: unexpected", 10)
    ['quarantined:', 'unexpected']
    """
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if not lines[-1] or width_of(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def width_of(text: str) -> int:
    """Returns how many columns of a terminal a text takes.

    >>> width_of("ACME"), width_of("株式会社"), width_of("e\u0301")
    (4, 8, 1)
    """
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) != 0 for letter in text)


def _shares(rows: Sequence[Row], width: int) -> list[int] | None:
    """Returns the width of each column; None when not even the longest words fit."""
    columns = list(zip(*rows, strict=True))
    shares = [max(map(width_of, column)) for column in columns]
    least = [
        max(width_of(w) for cell in column for w in (cell.split() or [""])) for column in columns
    ]
    room = width - len(_GAP) * (len(columns) - 1)
    if sum(least) > room:
        return None
    while (excess := sum(shares) - room) > 0:
        # The widest gives, down to the next one, so that short columns stay whole.
        widest = max(
            (n for n, share in enumerate(shares) if share > least[n]), key=shares.__getitem__
        )
        others = [share for share in shares if share < shares[widest]]
        shares[widest] = max(shares[widest] - excess, least[widest], max(others, default=0))
    return shares


def _side_by_side(row: Row, widths: Sequence[int]) -> Line:
    line: Line = []
    for n, (cell, share) in enumerate(zip(row, widths, strict=True)):
        if n:
            line.append((_GAP, None))
        line += [(cell, n), (" " * (share - width_of(cell)), None)]
    return line


def _blocks(head: Row, rows: Iterable[Row], width: int) -> list[Line]:
    """Returns each row as lines `HEADING  value`, with a blank line between rows."""
    names = max(map(width_of, head))
    lines: list[Line] = []
    for row in rows:
        if lines:
            lines.append([])
        for n, (name, cell) in enumerate(zip(head, row, strict=True)):
            for m, part in enumerate(wrapped(cell, width - names - len(_GAP))):
                label = "" if m else name
                lines.append([(label.ljust(names), None), (_GAP, None), (part, n)])
    return lines
