"""`tulay reconcile`: compares all sides with what the hub knows, field by field; writes nothing."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from connectors.kit.budget import bulk
from hub.cli.exits import FOUND
from hub.cli.progress import progress
from hub.cli.screen import Screen, shown
from hub.cli.session import command, session
from hub.sync.reconcile import Difference, Missing, Reconciliation
from hub.sync.reconcile import reconcile as compare


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @command(app)
    def reconcile(
        ctx: typer.Context,
        entity: Annotated[str | None, typer.Argument(help="Only this entity.")] = None,
    ) -> None:
        """Read all sides anew and list what does not match. Exit code 1 on a difference."""
        with session(ctx).hub() as hub, progress(session(ctx)) as bars, bulk():
            found = compare(hub, entity, progress=bars)
        screen = session(ctx).screen
        screen.document(found)
        if not screen.json:
            _draw(screen, found)
        if not found.clean:
            raise typer.Exit(FOUND)


def _draw(screen: Screen, found: Reconciliation) -> None:
    different = Counter(entity for entity, _, _ in {_record(d) for d in found.different})
    missing = Counter(one.entity for one in found.missing)
    entities = dict.fromkeys((*found.by_entity, *different, *missing))
    screen.table(
        ["entity", "matched", "different", "missing"],
        [(e, found.by_entity.get(e, 0), different[e], missing[e]) for e in entities],
        empty="there is nothing to compare yet; `tulay sync --once` reads all sides",
    )
    if found.different:
        screen.say("")
    for difference in found.different:
        screen.say(_different(difference))
    if found.missing:
        screen.say("")
    for one in found.missing:
        screen.say(_missing(one))
    if found.doubles:
        screen.say("")
    for one in found.doubles:
        screen.say(f"twice: {one.entity} {one.title} in {one.connection}: {one.reason}")
    if found.different:
        screen.note("tulay explain ENTITY KEY says where a value comes from")


def _record(difference: Difference) -> tuple[str, str, str]:
    return difference.entity, difference.connection, difference.key


def _different(one: Difference) -> str:
    place = f"{one.entity} {one.title} ({one.connection} {one.key})"
    values = f"{one.path} is {shown(one.shown)}, the hub has {shown(one.golden)}"
    if one.shown is None and one.golden is None:
        values = f"{one.path} cannot be read"
    return f"different: {place}: {values}{' (open conflict)' if one.in_conflict else ''}"


def _missing(one: Missing) -> str:
    return f"missing: {one.entity} {one.title} in {one.connection}: {one.reason}"
