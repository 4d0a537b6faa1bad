"""`tulay letters`: the old name of `tulay errors`, for one release, with a hint."""

from __future__ import annotations

import typer

from hub.cli.errors import add_commands
from hub.cli.session import group


def register(app: typer.Typer) -> None:
    """Adds the commands under their old names, which the help does not list."""
    nouns = group("Old name of `tulay errors`.", bare=True)
    app.add_typer(nouns, name="letters", hidden=True)
    hint = (
        "`tulay letters` is `tulay errors` now (and `replay` is `retry`);"
        " the old words work until the next release"
    )
    add_commands(nouns, retry_name="replay", hint=hint)
