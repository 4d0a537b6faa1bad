"""`tulay letters`: what was set aside with a reason, and how to try it again or let it be.

push-N is a write that waits or was refused, pull-N a record that could not be taken in, flow-N a
derivation that waits for something.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from sqlalchemy import Connection as Transaction

from hub.cli.session import callback, command, group, session
from hub.errors import UnknownError
from hub.store import outbox, quarantine

Row = dict[str, Any]

#: Part of an id -> how its rows are tried again, and dropped.
_REPLAY: Mapping[str, Callable[..., int]] = {
    "push": outbox.retry,
    "pull": quarantine.retry,
    "flow": quarantine.retry,
}
_DROP: Mapping[str, Callable[..., int]] = {
    "push": outbox.drop,
    "pull": quarantine.drop,
    "flow": quarantine.drop,
}


def gathered(tx: Transaction) -> list[Row]:
    """Returns everything that is set aside, oldest first."""
    pushes = [
        {
            "id": f"push-{row['id']}",
            "state": row["state"],
            "where": row["connection"],
            "what": f"{row['entity']} {row['golden_id']}",
            "reason": row["reason"],
            "error": row["error"],
            "attempts": row["attempts"],
            "first_at": row["first_at"],
            "due_at": row["due_at"] if row["state"] == "waiting" else None,
        }
        for row in outbox.set_aside(tx)
    ]
    others = [
        {
            "id": f"{row['kind']}-{row['id']}",
            "state": row["state"],
            "where": row["source"],
            "what": f"{row['stream']} {row['key']}",
            "reason": row["reason"],
            "error": row["error"],
            "attempts": row["attempts"],
            "first_at": row["first_at"],
            "due_at": row["due_at"] if row["state"] == "waiting" else None,
        }
        for row in quarantine.listing(tx)
    ]
    return sorted([*pushes, *others], key=lambda row: row["first_at"])


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    nouns = group("What was set aside: list, show, replay, drop.", bare=True)
    app.add_typer(nouns, name="letters")

    @callback(nouns)
    def bare(ctx: typer.Context) -> None:
        """Records and writes that were set aside, with the reason."""
        if ctx.invoked_subcommand is None:
            _list(ctx)

    @command(nouns, "list")
    def listing(ctx: typer.Context) -> None:
        """List what is set aside."""
        _list(ctx)

    @command(nouns)
    def show(
        ctx: typer.Context, letter: Annotated[str, typer.Argument(help="Such as push-3.")]
    ) -> None:
        """Show one letter."""
        with session(ctx).hub() as hub, hub.store.read() as tx:
            row = _row(gathered(tx), letter)
        screen = session(ctx).screen
        screen.document(row)
        screen.table(["what", "is"], list(row.items()), empty="")

    @command(nouns)
    def replay(
        ctx: typer.Context,
        letter: Annotated[str | None, typer.Argument(help="Such as push-3.")] = None,
        everything: Annotated[bool, typer.Option("--all", help="All letters.")] = False,
    ) -> None:
        """Try one letter, or all, again at the next sync."""
        if (letter is None) == (not everything):
            raise typer.BadParameter("name one letter, such as push-3, or say --all")
        _change(ctx, _REPLAY, None if everything else letter, done="will be tried again")

    @command(nouns)
    def drop(
        ctx: typer.Context, letter: Annotated[str, typer.Argument(help="Such as push-3.")]
    ) -> None:
        """Forget one letter: it is not tried again unless something changes."""
        _change(ctx, _DROP, letter, done="forgotten")


def _list(ctx: typer.Context) -> None:
    with session(ctx).hub() as hub, hub.store.read() as tx:
        rows = gathered(tx)
    screen = session(ctx).screen
    screen.document(rows)
    screen.table(
        ["letter", "state", "where", "reason"],
        [(r["id"], r["state"], r["where"], f"{r['what']}: {r['reason']}") for r in rows],
        empty="nothing is set aside",
    )


def _row(rows: list[Row], letter: str) -> Row:
    for row in rows:
        if row["id"] == letter:
            return row
    raise UnknownError(f"there is no letter {letter!r}; `tulay letters` lists them: push-3, pull-4")


def _change(
    ctx: typer.Context, actions: Mapping[str, Callable[..., int]], letter: str | None, *, done: str
) -> None:
    """Does something to one letter, or to all of them."""
    with session(ctx).hub() as hub, hub.store.begin() as tx:
        rows = gathered(tx)
        chosen = rows if letter is None else [_row(rows, letter)]
        for kind, act in actions.items():
            numbers = [
                int(row["id"].partition("-")[2]) for row in chosen if row["id"].startswith(kind)
            ]
            if numbers and actions is _REPLAY:
                act(tx, numbers, now=hub.clock())
            elif numbers:
                act(tx, numbers)
    screen = session(ctx).screen
    ids = [row["id"] for row in chosen]
    screen.document({"letters": ids})
    screen.say(f"{', '.join(ids)}: {done}" if ids else "nothing is set aside")
