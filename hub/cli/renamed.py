"""Old words of the command line: each works for one release, with a hint at the new one."""

from __future__ import annotations

from hub.cli.screen import complain


def hint(old: str, new: str) -> None:
    """Tells on stderr, where no document of --json is, what an old word is called now."""
    complain(f"{old} is called {new} now; the old word works until the next release", "note")
