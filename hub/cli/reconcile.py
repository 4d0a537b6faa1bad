"""`tulay reconcile`: compares all systems with what the hub knows; writes nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from connectors.kit.budget import bulk
from hub.cli.completion import complete_entity
from hub.cli.exit_codes import FOUND
from hub.cli.progress import progress
from hub.cli.screen import Screen, plain, shown
from hub.cli.session import command, session
from hub.sync.operate.reconcile import reconcile as compare
from hub.sync.operate.reconciliation import Difference, Missing, Reconciliation
from mappings.canonical.entities import ENTITIES
from mappings.canonical.naming import in_full


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @command(app)
    def reconcile(
        ctx: typer.Context,
        entity: Annotated[
            str | None,
            typer.Argument(
                help="Only this entity, such as company.", autocompletion=complete_entity
            ),
        ] = None,
    ) -> None:
        """Read all systems in full and list what does not match.

        Counts pairs: records in two systems or more. Exit code 1 when one is different, missing, or
        held by an entry of the quarantine.
        """
        with session(ctx).hub() as hub, progress(session(ctx)) as bars, bulk():
            found = compare(hub, entity, progress=bars)
        screen = session(ctx).screen
        screen.document({**plain(found), "matched": found.matched, "by_entity": found.by_entity})
        if not screen.json:
            _draw(screen, found)
        if not found.clean:
            raise typer.Exit(FOUND)


def _draw(screen: Screen, found: Reconciliation) -> None:
    screen.table(
        ["entity", "matched", "different", "missing", "held", "one side only"],
        [
            (entity, one.matched, one.different, one.missing, one.held, one.one_side)
            for entity, one in found.counts.items()
        ],
        empty="there is nothing to compare yet; `tulay sync --once` reads all systems",
    )
    for lines in (
        [_different(one) for one in found.different],
        [_missing(one) for one in found.missing],
        [f"twice: {_record(one)} in {one.connection}: {one.reason}" for one in found.doubles],
    ):
        if lines:
            screen.say("")
        for line in lines:
            screen.say(line)
    if any(one.entry for one in found.different) or any(one.entry for one in found.missing):
        screen.note("tulay errors show ENTRY says why a record is held")
    if found.different:
        screen.note("tulay explain ENTITY KEY says where a value comes from")


def _record(one: Difference | Missing) -> str:
    entity = ENTITIES.get(one.entity)
    return f"{one.entity} {one.title}" if entity is None else in_full(entity, one.title)


def _different(one: Difference) -> str:
    values = f"{one.path} is {shown(one.shown)}, the hub has {shown(one.golden)}"
    if one.shown is None and one.golden is None:
        values = f"{one.path} cannot be read"
    why = ""
    if one.in_conflict:
        why = " (open conflict)" if one.conflict is None else f" (conflict {one.conflict})"
    held = f" (held by {one.entry})" if one.entry else ""
    return f"different: {_record(one)} ({one.connection} {one.key}): {values}{why}{held}"


def _missing(one: Missing) -> str:
    word = f"held by {one.entry}" if one.entry else "missing"
    if one.source is not None:
        return f"{word}: {_record(one)} ({one.source} {one.key}) in the hub: {one.reason}"
    return f"{word}: {_record(one)} in {one.connection}: {one.reason}"
