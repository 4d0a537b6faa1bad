"""`tulay conflicts`: fields that were changed in two systems, and what a person decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from sqlalchemy import Connection as Transaction

from hub.cli.completion import complete_connection
from hub.cli.renamed import hint
from hub.cli.screen import shown
from hub.cli.session import Session, callback, command, group, session
from hub.errors import UnknownError
from hub.store.conflicts import list_conflicts
from hub.store.golden import load_golden
from hub.sync.context import Hub
from hub.sync.operate.resolve import Resolved, resolve_conflict, resolve_with_value
from hub.sync.operate.sides import decided_of, holder_of, values_of
from hub.sync.record_names import names_by_id, names_of
from mappings.canonical.values import Scalar

Number = Annotated[int, typer.Argument(help="Number of the conflict.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    nouns = group("Fields changed in two systems: list, show, resolve.", bare=True)
    app.add_typer(nouns, name="conflicts")

    @callback(nouns)
    def bare(ctx: typer.Context) -> None:
        """Fields that were changed in two systems."""
        if ctx.invoked_subcommand is None:
            _list(session(ctx), closed=False)

    @command(nouns, "list")
    def listing(
        ctx: typer.Context,
        closed: Annotated[bool, typer.Option("--all", help="Include closed conflicts.")] = False,
    ) -> None:
        """List open conflicts."""
        _list(session(ctx), closed=closed)

    @command(nouns)
    def show(ctx: typer.Context, number: Number) -> None:
        """Show one conflict with the value in each system and the last one both agreed on."""
        _show(session(ctx), number)

    @command(nouns)
    def resolve(
        ctx: typer.Context,
        number: Number,
        take: Annotated[
            str | None,
            typer.Option(
                "--take",
                metavar="SYSTEM",
                help="The value of this system is right.",
                autocompletion=complete_connection,
            ),
        ] = None,
        value: Annotated[
            str | None,
            typer.Option("--value", metavar="TEXT", help="Another value; '' means blank."),
        ] = None,
        ours: Annotated[bool, typer.Option("--ours", hidden=True)] = False,
        theirs: Annotated[bool, typer.Option("--theirs", hidden=True)] = False,
    ) -> None:
        """Decide which value is right; the next sync writes it to the other systems."""
        chosen = [take] if take is not None else ["ours"] * ours + ["theirs"] * theirs
        if len(chosen) + (value is not None) != 1 or (take is not None and (ours or theirs)):
            raise typer.BadParameter("say which value is right: --take SYSTEM or --value TEXT")
        with session(ctx).hub() as hub:
            if value is not None:
                done = resolve_with_value(hub, number, value)
            else:
                _hint(hub, chosen[0])
                done = resolve_conflict(hub, number, chosen[0])
            with hub.store.read() as tx:
                meant = names_by_id(hub, tx, _ids_in(hub, done.entity, done.values))
        _tell(session(ctx), done, meant)


def _hint(hub: Hub, chosen: str) -> None:
    if chosen in ("ours", "theirs") and chosen not in hub.connections:
        hint(f"--{chosen}", ", ".join(f"--take {name}" for name in hub.connections))


def _rows(hub: Hub, tx: Transaction, *, closed: bool) -> list[dict[str, Any]]:
    conflicts = list_conflicts(tx, all_of_them=closed)
    golden = load_golden(tx, {conflict.golden_id for conflict in conflicts})
    names = names_of(hub, tx, golden.values())
    rows = []
    for conflict in conflicts:
        one = golden[conflict.golden_id]
        row = asdict(conflict)
        row["entity"] = one.entity
        row["title"] = names.get(one.id, one.id)
        row["values"] = values_of(conflict, one)
        row["holder"] = holder_of(conflict, one)
        row["decided"] = decided_of(conflict, one)
        rows.append(row)
    meant = names_by_id(hub, tx, {id_ for row in rows for id_ in _references(hub, row)})
    for row in rows:
        row["shown"] = {side: meant.get(str(v), v) for side, v in row["values"].items()}
    return rows


def _references(hub: Hub, row: Mapping[str, Any]) -> list[str]:
    """Returns the ids among the values of a conflict: of a field that refers to a record."""
    values = [row[side] for side in ("base", "ours", "theirs")]
    return [id_ for v in values for id_ in _ids_in(hub, row["entity"], {row["path"]: v})]


def _ids_in(hub: Hub, name: str, values: Mapping[str, Scalar]) -> list[str]:
    entity = hub.entities.get(name)
    found = []
    for path, value in values.items():
        declared = entity.field(path) if entity else None
        if declared is not None and declared.kind == "reference" and value is not None:
            found.append(str(value))
    return found


def _list(session: Session, *, closed: bool) -> None:
    with session.hub() as hub, hub.store.read() as tx:
        rows = _rows(hub, tx, closed=closed)
    session.screen.document(rows)
    ended = ["decided"] if closed else []
    session.screen.table(
        ["no", "entity", "record", "field", "values", *ended],
        [
            (
                row["id"],
                row["entity"],
                row["title"],
                row["path"],
                _values(row) + (f"; {row['reason']}" if row["reason"] else ""),
                *([row["decided"]] if closed else []),
            )
            for row in rows
        ],
        empty="no conflicts",
    )
    if any(row["closed_at"] is None for row in rows):
        session.screen.note("tulay conflicts resolve NO --take SYSTEM | --value TEXT")


def _values(row: Mapping[str, Any]) -> str:
    return " | ".join(f"{side}: {shown(value)}" for side, value in row["shown"].items())


def _show(session: Session, number: int) -> None:
    with session.hub() as hub, hub.store.read() as tx:
        row = next((r for r in _rows(hub, tx, closed=True) if r["id"] == number), None)
        if row is None:
            raise UnknownError(f"there is no conflict {number}; `tulay conflicts` lists them")
        meant = names_by_id(hub, tx, _references(hub, row))
    screen = session.screen
    screen.document(row)
    screen.table(
        ["what", "is"],
        [
            ("record", row["title"]),
            ("id", f"{row['entity']} {row['golden_id']}"),
            ("field", row["path"]),
            ("agreed last", meant.get(str(row["base"]), row["base"])),
            *row["shown"].items(),
            ("since", row["opened_at"]),
            ("why", row["reason"] or "changed in two systems"),
            ("decided", row["decided"] or "no"),
        ],
        empty="",
    )
    if row["closed_at"] is None:
        takes = " | ".join(f"--take {side}" for side in row["values"])
        screen.note(f"tulay conflicts resolve {number} {takes} | --value TEXT")


def _tell(session: Session, done: Resolved, meant: Mapping[str, str]) -> None:
    session.screen.document(done)
    for path, value in done.values.items():
        session.screen.say(
            f"conflict {done.number}: {path} is now {shown(meant.get(str(value), value))}"
        )
    session.screen.note("the next sync writes it")
