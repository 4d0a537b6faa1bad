"""`tulay letters`: the old name of `tulay errors`, for one release, with a hint."""

from __future__ import annotations

import typer

from hub.cli.errors import add_commands
from hub.cli.session import group


def register(app: typer.Typer) -> None:
    """Adds the commands under their old names, which the help does not list."""
    nouns = group("Old name of `tulay errors`.", bare=True)
    app.add_typer(nouns, name="letters", hidden=True)
    add_commands(nouns, renamed=True, retry_name="replay")
