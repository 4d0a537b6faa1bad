"""`tulay resume`: goes on after a pause, when the reason for it has been put right."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.session import command, session
from hub.store import progress as store
from hub.store import queues
from hub.sync.hub import Hub


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @command(app)
    def resume(
        ctx: typer.Context,
        connection: Annotated[str, typer.Argument(help="Name of the connection.")],
        stream: Annotated[str | None, typer.Argument(help="Only this stream of it.")] = None,
        accept: Annotated[
            bool,
            typer.Option("--accept", help="The next run may change as much as it wants to."),
        ] = False,
    ) -> None:
        """Lift the pause of a connection, or of one stream."""
        with session(ctx).hub() as hub:
            lifted = _lift(hub, connection, stream, accept=accept)
        screen = session(ctx).screen
        screen.document({"resumed": lifted, "accepted": accept})
        accepted = "; its next run may change as much as it wants to" if accept else ""
        for name in lifted:
            screen.say(f"{name} goes on{accepted}")
        if not lifted:
            screen.note(f"{connection} was not paused")


def _lift(hub: Hub, connection: str, stream: str | None, *, accept: bool) -> list[str]:
    """Lifts the pauses; returns what was paused (or, with `accept`, is accepted now)."""
    one = hub.connection(connection)
    streams = list(one.channels) if stream is None else [one.channel(stream).stream]
    free = {"paused_at": None, "reason": None}
    lifted: list[str] = []
    with hub.store.begin() as tx:
        if store.paused(tx, connection) is not None:
            store.save_connection(tx, connection, **free)
            lifted.append(connection)
        for name in streams:
            state = store.stream_state(tx, connection, name)
            if state.paused_at is not None or (accept and stream is not None):
                accepted = {"accepted": 1} if accept else {}
                store.save_stream(tx, connection, name, **free, **accepted)
                lifted.append(f"{connection}.{name}")
        if lifted:
            queues.wake_held(tx, connection, now=hub.clock())
    return lifted
