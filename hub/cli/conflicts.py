"""`tulay conflicts`: fields that were changed on two sides, and a person's word on them."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from sqlalchemy import Connection as Transaction

from hub.cli.screen import shown
from hub.cli.session import Session, callback, command, group, session
from hub.errors import UnknownError
from hub.store.conflicts import list_conflicts
from hub.store.golden import load_golden
from hub.sync.context import Hub
from hub.sync.explain import title_of
from hub.sync.resolve import Resolved, resolve_conflict, resolve_with_value

Number = Annotated[int, typer.Argument(help="Number of the conflict.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    nouns = group("Fields changed on two sides: list, show, resolve.", bare=True)
    app.add_typer(nouns, name="conflicts")

    @callback(nouns)
    def bare(ctx: typer.Context) -> None:
        """Fields that were changed on two sides."""
        if ctx.invoked_subcommand is None:
            _list(session(ctx), closed=False)

    @command(nouns, "list")
    def listing(
        ctx: typer.Context,
        closed: Annotated[bool, typer.Option("--all", help="Closed ones, too.")] = False,
    ) -> None:
        """List open conflicts."""
        _list(session(ctx), closed=closed)

    @command(nouns)
    def show(ctx: typer.Context, number: Number) -> None:
        """Show one conflict with both values and the last one agreed on."""
        _show(session(ctx), number)

    @command(nouns)
    def resolve(
        ctx: typer.Context,
        number: Number,
        ours: Annotated[
            bool, typer.Option("--ours", help="The hub's value holds and is written over there.")
        ] = False,
        theirs: Annotated[
            bool, typer.Option("--theirs", help="The connection's value holds everywhere.")
        ] = False,
        value: Annotated[
            str | None, typer.Option("--value", help="Another value; '' leaves the field blank.")
        ] = None,
    ) -> None:
        """Decide which value holds; the next sync writes it."""
        if [ours, theirs, value is not None].count(True) != 1:
            raise typer.BadParameter("say which value holds: --ours, --theirs or --value TEXT")
        with session(ctx).hub() as hub:
            if value is not None:
                done = resolve_with_value(hub, number, value)
            else:
                done = resolve_conflict(hub, number, "ours" if ours else "theirs")
        _tell(session(ctx), done)


def _rows(hub: Hub, tx: Transaction, *, closed: bool) -> list[dict[str, Any]]:
    rows = list_conflicts(tx, all_of_them=closed)
    golden = load_golden(tx, {row["golden_id"] for row in rows})
    for row in rows:
        one = golden[row["golden_id"]]
        row["entity"] = one.entity
        row["title"] = title_of(hub.entities[one.entity], one)
    return rows


def _list(session: Session, *, closed: bool) -> None:
    with session.hub() as hub, hub.store.read() as tx:
        rows = _rows(hub, tx, closed=closed)
    session.screen.document(rows)
    session.screen.table(
        ["no", "entity", "connection", "field", "what"],
        [
            (
                row["id"],
                row["entity"],
                row["connection"],
                row["path"],
                f"{row['title']}: ours {shown(row['ours'])} / theirs {shown(row['theirs'])}"
                + (f" ({row['resolution']})" if row["closed_at"] else "")
                + (f"; {row['reason']}" if row["reason"] else ""),
            )
            for row in rows
        ],
        empty="no conflicts",
    )


def _show(session: Session, number: int) -> None:
    with session.hub() as hub, hub.store.read() as tx:
        row = next((r for r in _rows(hub, tx, closed=True) if r["id"] == number), None)
    if row is None:
        raise UnknownError(f"there is no conflict {number}; `tulay conflicts` lists them")
    screen = session.screen
    screen.document(row)
    screen.table(
        ["what", "is"],
        [
            ("record", f"{row['entity']} {row['title']} ({row['golden_id']})"),
            ("field", row["path"]),
            ("agreed last", row["base"]),
            ("ours", row["ours"]),
            (f"theirs ({row['connection']})", row["theirs"]),
            ("since", row["opened_at"]),
            ("why", row["reason"] or "both sides changed it"),
            ("closed", row["resolution"] or "no"),
        ],
        empty="",
    )
    if row["closed_at"] is None:
        screen.note(f"tulay conflicts resolve {number} --ours | --theirs | --value TEXT")


def _tell(session: Session, done: Resolved) -> None:
    session.screen.document(done)
    for path, value in done.values.items():
        session.screen.say(f"conflict {done.number}: {path} is now {shown(value)}")
    session.screen.note("the next sync writes it")
