"""How the demo is told: numbered steps, sentences and small tables; silent when JSON is wanted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from html import unescape
from typing import Any

from hub.cli.screen import Screen
from hub.sync.progress import Progress


@dataclass
class Telling:
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
    'Böhm & Vogel Metal…'
    """
    words = " ".join(str(text or "").split())
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"


def plain(html: str) -> str:
    """Returns the words of a text with tags.

    >>> plain("<p>Böhm &amp; Co waits.</p><p>Soon.</p>")
    'Böhm & Co waits. Soon.'
    """
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())
