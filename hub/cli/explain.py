"""`tulay explain`: where each value comes from, by which policy, and what lost."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated

import typer

from hub.cli.completion import complete_entity, complete_field
from hub.cli.screen import Screen, shown
from hub.cli.session import command, session
from hub.sync.operate.explain import Explanation, Gap, Place, Value
from hub.sync.operate.explain import explain as explain_record
from mappings.canonical.entities import ENTITIES
from mappings.canonical.naming import in_full
from mappings.canonical.values import Scalar


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @command(app)
    def explain(
        ctx: typer.Context,
        entity: Annotated[
            str, typer.Argument(help="Such as company.", autocompletion=complete_entity)
        ],
        key: Annotated[str, typer.Argument(help="Id, key in a system, or part of its text.")],
        field: Annotated[
            str | None,
            typer.Argument(help="One field or branch.", autocompletion=complete_field),
        ] = None,
    ) -> None:
        """Show where each value of a record comes from, by which policy, and what lost."""
        with session(ctx).hub() as hub:
            found = explain_record(hub, entity, key, field)
        screen = session(ctx).screen
        screen.document(found)
        if not screen.json:
            _draw(screen, found)


def _draw(screen: Screen, found: Explanation) -> None:
    screen.say(_title(found), "bold")
    screen.say(f"id {found.id}, since {shown(found.created_at)}")
    if found.deleted_at is not None:
        screen.say(f"deleted {shown(found.deleted_at)}", "red")
    screen.say("")
    screen.table(
        ["field", "value", "from", "since", "policy"],
        [(v.path, _value(v), v.origin, v.at, _short(v.policy)) for v in found.values],
        empty="it has no values",
    )
    lost = [(v.path, one) for v in found.values for one in v.lost]
    if lost:
        screen.say("")
        screen.table(
            ["field", "lost value", "was in", "at", "why"],
            [
                (path, _meant(found, one.value), one.connection, one.at, one.why)
                for path, one in lost
            ],
            empty="",
        )
    for place in found.places:
        _draw_place(screen, found, place)
    for connection, why in found.missing.items():
        screen.say("")
        screen.say(f"{connection}: no record yet: {why}", "yellow")
    if found.missing or any(place.entry for place in found.places):
        screen.note("tulay errors show ENTRY says what to do")


def _short(policy: str) -> str:
    """Returns the words of a policy; a first match that is decided as any conflict is left out.

    >>> _short("owner: any; on_conflict: ask; on_first_match: ask")
    'owner: any; on_conflict: ask'
    """
    return re.sub(r"on_conflict: (\w+); on_first_match: \1\b", r"on_conflict: \1", policy)


def _title(found: Explanation) -> str:
    entity = ENTITIES.get(found.entity)
    return f"{found.entity} {found.title}" if entity is None else in_full(entity, found.title)


def _meant(found: Explanation, value: Scalar) -> str:
    """Returns a value, or the name of the record that it refers to."""
    return found.names.get(str(value)) or shown(value)


def _value(value: Value) -> str:
    return shown(value.value) if value.title is None else f"{value.title} ({value.value})"


def _draw_place(screen: Screen, found: Explanation, place: Place) -> None:
    screen.say("")
    state = "in sync"
    words = partial(_meant, found)
    if place.gone_at is not None:
        state = f"deleted there, noticed {shown(place.gone_at)}"
    elif any(_differs(gap) for gap in place.gaps):
        state = "not in sync"
    kind = ", secondary" if place.secondary else ""
    screen.say(f"{place.connection}: {place.stream} {place.key}, {state}{kind}", "bold")
    if place.waits:
        screen.say(f"  in quarantine: {place.waits} ({place.entry})", "yellow")
    if place.gaps:
        screen.table(
            ["field", "golden", "seen", "agreed", "shown", "what"],
            [
                (g.path, *map(words, (g.golden, g.seen, g.agreed, g.shown)), _verdict(g))
                for g in place.gaps
            ],
            empty="",
        )


def _differs(gap: Gap) -> bool:
    return gap.golden != gap.agreed or gap.seen != gap.shown


def _verdict(gap: Gap) -> str:
    if gap.conflict is not None:
        return f"conflict {gap.conflict}"
    if gap.wanted:
        return "to be written"
    return "differs, not written here" if _differs(gap) else "in sync, shown its own way"
