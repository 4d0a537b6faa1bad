"""The narration of the demo: numbered steps, sentences, small tables; silent for JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from html import unescape
from typing import Any, Protocol

from hub.sync.progress import Progress


class Screen(Protocol):
    """Where the story appears: the command line's screen."""

    def say(self, text: str, style: str = "") -> None:
        """Prints a line; nothing when JSON was asked for."""
        ...

    def raw(self, text: str) -> None:
        """Prints a line that must not be folded."""
        ...

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
        """Prints rows under their headings, or what to say when there are none."""
        ...

    def document(self, content: Any) -> None:
        """Prints the whole result as JSON, when that was asked for."""
        ...


@dataclass
class Narration:
    """Tells the story to a person."""

    screen: Screen
    #: Draws progress for as long as it is open.
    drawn: Callable[[], AbstractContextManager[Progress]]
    _step: int = 0

    def step(self, title: str) -> None:
        """Begins the next part."""
        self._step += 1
        self.screen.say("")
        self.screen.say(f"{self._step}. {title}", "bold")

    def say(self, text: str) -> None:
        """Says what has happened."""
        self.screen.say(text)

    def show(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Shows a small table."""
        self.screen.say("")
        self.screen.table(columns, rows, empty="(nothing)")


def short(text: object, most: int = 30) -> str:
    """Returns a text that fits into a column.

    >>> short("Böhm & Vogel Metallbau GmbH & Co. KG", 20)
    'Böhm & Vogel Metall…'
    """
    words = " ".join(str(text or "").split())
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"


def plain(html: str) -> str:
    """Returns the words of a text with tags.

    >>> plain("<p>Böhm &amp; Co waits.</p><p>Soon.</p>")
    'Böhm & Co waits. Soon.'
    """
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())
