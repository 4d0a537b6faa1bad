"""Progress bars on a terminal; silence everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hub.cli.session import Session
from hub.sync.progress import Progress, Silence

if TYPE_CHECKING:  # loaded when a terminal is there
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


class DrawnProgress:
    """Draws one bar per piece of work."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def start(self, name: str, total: int | None) -> None:
        """Shows a piece of work, or learns how much of it there is."""
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total)
        elif total is not None:
            self._bars.update(self._tasks[name], total=total)

    def advance(self, name: str, count: int) -> None:
        """Moves the bar on."""
        if name in self._tasks:
            self._bars.advance(self._tasks[name], count)

    def done(self, name: str) -> None:
        """Takes the bar away."""
        if name in self._tasks:
            self._bars.remove_task(self._tasks.pop(name))


@contextmanager
def progress(session: Session) -> Iterator[Progress]:
    """Gives what a use case reports its progress to."""
    if not sys.stderr.isatty() or session.json or session.quiet:
        yield Silence()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Bars(*columns, TimeElapsedColumn(), console=console, transient=True) as bars:
        yield DrawnProgress(bars)
