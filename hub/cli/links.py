"""`tulay links`: which records belong together, and a decision where that is not certain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer
from sqlalchemy import Connection as Transaction

from hub.cli.completion import complete_connection, complete_entity
from hub.cli.entity_names import checked_entity
from hub.cli.session import Session, callback, command, group, session
from hub.store.golden import Golden, golden_by_entity, load_golden
from hub.store.links import Link, links_by_golden
from hub.store.merges import listing as listing_of_merges
from hub.store.reviews import open_reviews
from hub.sync.context import Hub
from hub.sync.merge.undo import undo_merge
from hub.sync.operate.decide import decide_review, merge_by_hand
from hub.sync.operate.explain import find
from hub.sync.record_names import names_by_id, names_of

#: Golden records of one query.
_PORTION = 500

Entity = Annotated[
    str | None,
    typer.Argument(help="Only this entity, such as company.", autocompletion=complete_entity),
]
OneEntity = Annotated[str, typer.Argument(help="Such as company.", autocompletion=complete_entity)]
Where = Annotated[
    str | None,
    typer.Option(
        "--connection",
        help="Only with a record in this connection.",
        autocompletion=complete_connection,
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Maximum number of rows.")]
#: The default of --limit.
_LIMIT = 100


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    nouns = group(
        "Which records belong together: list, show, review, decide, merge, merges, split.",
        bare=True,
    )
    app.add_typer(nouns, name="links")

    @callback(nouns)
    def bare(ctx: typer.Context) -> None:
        """Which records belong together."""
        if ctx.invoked_subcommand is None:
            _list(session(ctx), None, None, limit=_LIMIT)

    @command(nouns, "list")
    def listing(
        ctx: typer.Context, entity: Entity = None, connection: Where = None, limit: Limit = _LIMIT
    ) -> None:
        """List golden records with their records in each system."""
        _list(session(ctx), entity, connection, limit=limit)

    @command(nouns)
    def show(
        ctx: typer.Context,
        entity: OneEntity,
        key: Annotated[str, typer.Argument(help="Id, key in a system, or part of its text.")],
    ) -> None:
        """Show the records that one golden record stands for."""
        _show(session(ctx), entity, key)

    @command(nouns)
    def review(ctx: typer.Context) -> None:
        """List records that may be the same as a known one: a person decides."""
        _review(session(ctx))

    @command(nouns)
    def decide(
        ctx: typer.Context,
        number: Annotated[int, typer.Argument(help="Number of the review.")],
        golden: Annotated[str, typer.Argument(help="Golden id (its beginning is enough) or new.")],
    ) -> None:
        """Decide which golden record it is, or that it is a new one."""
        with session(ctx).hub() as hub:
            chosen = decide_review(hub, number, golden)
            with hub.store.read() as tx:
                name = names_by_id(hub, tx, [chosen]).get(chosen, "a new record")
        session(ctx).screen.document({"review": number, "decision": chosen, "name": name})
        session(ctx).screen.say(f"review {number}: it is {name}; the next sync applies it")

    @command(nouns)
    def merge(
        ctx: typer.Context,
        entity: OneEntity,
        winner: Annotated[str, typer.Argument(help="Id, key or text of the one that stays.")],
        loser: Annotated[str, typer.Argument(help="Id, key or text of the one that joins it.")],
    ) -> None:
        """Merge two golden records; `split` undoes it."""
        with session(ctx).hub() as hub:
            with hub.store.read() as tx:
                ids = [
                    find(hub, tx, checked_entity(entity, hub.entities), key).id
                    for key in (winner, loser)
                ]
                names = names_by_id(hub, tx, ids)
            merge_by_hand(hub, entity, winner=ids[0], loser=ids[1])
        winner, loser = (names[id_] for id_ in ids)
        session(ctx).screen.document({"entity": entity, "winner": ids[0], "loser": ids[1]})
        session(ctx).screen.say(f"{loser} ({ids[1]}) is merged into {winner} ({ids[0]})")
        session(ctx).screen.note(
            "`tulay links merges` lists merges, `tulay links split` undoes one"
        )

    @command(nouns)
    def merges(ctx: typer.Context) -> None:
        """List merges that can be undone."""
        _merges(session(ctx))

    @command(nouns)
    def split(
        ctx: typer.Context,
        number: Annotated[int, typer.Argument(help="Number of the merge.")],
    ) -> None:
        """Undo a merge: each of the two gets back what was its own."""
        with session(ctx).hub() as hub:
            done = undo_merge(hub, number)
            with hub.store.read() as tx:
                names = names_by_id(hub, tx, [done.loser, done.winner])
        session(ctx).screen.document(done)
        loser, winner = names[done.loser], names[done.winner]
        session(ctx).screen.say(f"{loser} ({done.loser}) is separate from {winner} again")
        session(ctx).screen.note("the next sync writes what each of them lacks")


def _merges(session: Session) -> None:
    with session.hub() as hub, hub.store.read() as tx:
        rows = [asdict(merge) for merge in listing_of_merges(tx)]
        golden = load_golden(tx, {row[side] for row in rows for side in ("winner", "loser")})
        names = names_of(hub, tx, golden.values())
        for row in rows:
            del row["before"]
            for side in ("winner", "loser"):
                row[f"{side}_title"] = names.get(row[side], row[side])
    session.screen.document(rows)
    session.screen.table(
        ["no", "entity", "merged", "what"],
        [
            (
                row["id"],
                row["entity"],
                row["merged_at"],
                f"{row['loser_title']} into {row['winner_title']}: {row['why']}",
            )
            for row in rows
        ],
        empty="nothing was merged",
    )
    if rows:
        session.screen.note("tulay links split NO undoes one")


def _list(session: Session, entity: str | None, connection: str | None, *, limit: int) -> None:
    found: list[dict[str, Any]] = []
    with session.hub() as hub:
        if connection is not None:
            hub.connection(connection)
        with hub.store.read() as tx:
            for golden, links, name in _golden(hub, tx, entity):
                if connection is None or any(one.connection == connection for one in links):
                    found.append(_row(golden, links, name))
                if len(found) > limit:
                    break
    rows, more = found[:limit], len(found) > limit
    session.screen.document(rows)
    session.screen.table(
        ["entity", "record", "keys"],
        [(row["entity"], row["title"], _places(row["records"])) for row in rows],
        empty="nothing is linked yet; `tulay sync --once` reads all sides",
    )
    if more:
        session.screen.note(f"there are more than {limit}; see --limit and --connection")


def _golden(
    hub: Hub, tx: Transaction, entity: str | None
) -> Iterator[tuple[Golden, list[Link], str]]:
    for name in hub.entities if entity is None else [checked_entity(entity, hub.entities)]:
        after = ""
        while portion := golden_by_entity(tx, name, after=after, limit=_PORTION):
            after = portion[-1].id
            links = links_by_golden(tx, [golden.id for golden in portion])
            names = names_of(hub, tx, portion)
            yield from ((one, links.get(one.id, []), names[one.id]) for one in portion)


def _row(golden: Golden, links: list[Link], name: str) -> dict[str, Any]:
    return {
        "entity": golden.entity,
        "id": golden.id,
        "title": name,
        "records": [
            {
                "connection": link.connection,
                "stream": link.stream,
                "key": link.key,
                "secondary": not link.is_primary,
                "gone_at": link.gone_at,
            }
            for link in links
        ],
    }


def _places(found: list[dict[str, Any]]) -> str:
    words = []
    for one in found:
        mark = " (deleted)" if one["gone_at"] else " (secondary)" if one["secondary"] else ""
        words.append(f"{one['connection']} {one['stream']} {one['key']}{mark}")
    return ", ".join(words)


def _show(session: Session, entity: str, key: str) -> None:
    with session.hub() as hub, hub.store.read() as tx:
        golden = find(hub, tx, checked_entity(entity, hub.entities), key)
        links = links_by_golden(tx, [golden.id]).get(golden.id, [])
        name = names_of(hub, tx, [golden])[golden.id]
    row = _row(golden, links, name)
    session.screen.document(row)
    session.screen.say(f"{entity} {row['title']} ({row['id']})", "bold")
    session.screen.table(
        ["connection", "stream", "key", "secondary", "deleted"],
        [
            (one["connection"], one["stream"], one["key"], one["secondary"], one["gone_at"])
            for one in row["records"]
        ],
        empty="it has no record anywhere",
    )
    session.screen.note(f"tulay explain {entity} {row['id']} says where its values come from")


def _review(session: Session) -> None:
    with session.hub() as hub, hub.store.read() as tx:
        rows = [asdict(review) for review in open_reviews(tx)]
        names = names_by_id(hub, tx, {c for row in rows for c in row["candidates"]})
        for row in rows:
            row["candidates"] = [
                {"id": c, "title": names[c]} for c in row["candidates"] if c in names
            ]
    screen = session.screen
    screen.document(rows)
    if not rows:
        screen.note("nothing to decide")
    for row in rows:
        place = f"{row['connection']} {row['stream']} {row['key']}"
        screen.say(f"{row['id']}. {row['entity']} {row['title']} ({place})", "bold")
        screen.say(f"   {row['reason']}; is it one of these?")
        for candidate in row["candidates"]:
            screen.say(f"   {candidate['title']}  {candidate['id']}")
        screen.note(f"   tulay links decide {row['id']} ID | new")
