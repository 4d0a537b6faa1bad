"""`tulay resume`: lifts a pause when the reason for it is gone."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.completion import complete_connection
from hub.cli.session import command, session
from hub.sync.change_limits import lift


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @command(app)
    def resume(
        ctx: typer.Context,
        connection: Annotated[
            str,
            typer.Argument(help="Name of the connection.", autocompletion=complete_connection),
        ],
        stream: Annotated[str | None, typer.Argument(help="Only this stream of it.")] = None,
        accept: Annotated[
            bool,
            typer.Option("--accept", help="The next run may change as much as it wants to."),
        ] = False,
    ) -> None:
        """Lift the pause of a connection, or of one stream."""
        with session(ctx).hub() as hub:
            lifted = lift(hub, connection, stream, accept=accept)
        screen = session(ctx).screen
        screen.document({"resumed": lifted, "accepted": accept})
        accepted = "; its next run may change as much as it wants to" if accept else ""
        for name in lifted:
            screen.say(f"{name} is resumed{accepted}")
        if not lifted:
            screen.note(f"{connection} was not paused")
