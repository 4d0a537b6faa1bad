"""`tulay status`: how things stand, from the database alone; no system is asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import typer

from hub.cli import letters
from hub.cli.exits import FOUND
from hub.cli.screen import Screen, ago
from hub.cli.session import command, session
from hub.store import outbox
from hub.store.accounts import usage
from hub.store.conflicts import list_conflicts
from hub.store.connections import connection_states
from hub.store.reviews import open_reviews
from hub.store.runs import recent_runs
from hub.store.streams import all_streams
from hub.sync.context import Hub

#: Runs shown.
_RUNS = 10

Row = Mapping[str, Any]


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @command(app)
    def status(ctx: typer.Context) -> None:
        """Show connections, streams, backlog, what waits for people, and the last runs.

        Exit code 1 when a connection or stream is paused, or a run is red.
        """
        with session(ctx).hub(offline=True) as hub:
            found = gathered(hub)
            now = hub.clock()
        screen = session(ctx).screen
        screen.document(found)
        if not screen.json:
            _draw(screen, found, now)
        if found["paused"] or any(run["state"] == "red" for run in found["runs"]):
            raise typer.Exit(FOUND)


def gathered(hub: Hub) -> dict[str, Any]:
    """Returns everything the command shows."""
    with hub.store.read() as tx:
        states = connection_states(tx)
        streams = {(row["connection"], row["stream"]): row for row in all_streams(tx)}
        backlog = outbox.backlog(tx)
        aside = letters.gathered(tx)
        open_conflicts = list_conflicts(tx)
        reviews = open_reviews(tx)
        runs = recent_runs(tx, limit=_RUNS)
        calls = usage(tx, now=hub.clock())
    rows = [
        _stream(hub, name, stream, streams.get((name, stream), {}))
        for name, connection in hub.connections.items()
        for stream in connection.channels
    ]
    connections = [
        _connection(hub, name, states.get(name, {}), backlog) | _calls(*calls.get(name, (0, None)))
        for name in hub.connections
    ]
    paused = {c["connection"]: c["reason"] for c in connections if c["paused_at"]}
    paused |= {f"{s['connection']}.{s['stream']}": s["reason"] for s in rows if s["paused_at"]}
    return {
        "connections": connections,
        "streams": rows,
        "paused": paused,
        "letters": aside,
        "conflicts": len(open_conflicts),
        "reviews": len(reviews),
        "runs": [_run(run) for run in runs],
    }


def _connection(
    hub: Hub, name: str, state: Row, backlog: Mapping[tuple[str, str], int]
) -> dict[str, Any]:
    one = hub.connections[name]
    waiting = {kind: backlog.get((name, kind), 0) for kind in ("inbox", "due", "sent")}
    return {
        "connection": name,
        "system": one.system,
        "role": one.role,
        "paused_at": state.get("paused_at"),
        "reason": state.get("reason") if state.get("paused_at") else None,
        "heard_at": state.get("heard_at"),
        "to_read": waiting["inbox"],
        "to_write": waiting["due"] + waiting["sent"],
        "set_aside": backlog.get((name, "waiting"), 0) + backlog.get((name, "buried"), 0),
    }


def _calls(today: int, daily: int | None) -> dict[str, Any]:
    """Calls since midnight (UTC), of how many that the system allows a day."""
    share = None if not daily else round(today / daily, 4)
    return {"calls_today": today, "calls_a_day": daily, "quota_used": share}


def _stream(hub: Hub, connection: str, stream: str, row: Row) -> dict[str, Any]:
    return {
        "connection": connection,
        "stream": stream,
        "entity": hub.connections[connection].channels[stream].entity.name,
        "read_at": row.get("read_at"),
        "swept_at": row.get("swept_at"),
        "paused_at": row.get("paused_at"),
        "reason": row.get("reason") if row.get("paused_at") else None,
    }


def _run(row: Row) -> dict[str, Any]:
    names = ("kind", "connection", "stream", "started_at", "finished_at", "seen", "same", "changed")
    rest = ("buried", "written", "state", "reason")
    return {
        **{name: row[name] for name in names},
        "skipped": row["skipped"] or {},
        **{name: row[name] for name in rest},
    }


def _draw(screen: Screen, found: Mapping[str, Any], now: datetime) -> None:
    screen.table(
        [
            "connection",
            "system",
            "role",
            "state",
            "to read",
            "to write",
            "set aside",
            "calls today",
        ],
        [
            (
                c["connection"],
                c["system"],
                c["role"],
                "paused" if c["paused_at"] else "ok",
                c["to_read"],
                c["to_write"],
                c["set_aside"],
                _of_quota(c),
            )
            for c in found["connections"]
        ],
        empty="no connections",
    )
    for name, reason in found["paused"].items():
        where = name.replace(".", " ", 1)
        screen.say(f"{name} is paused: {reason}", "bold red")
        screen.say(f"  when that is put right: tulay resume {where}")
    screen.say("")
    screen.table(
        ["connection", "stream", "entity", "state", "read", "swept"],
        [
            (
                s["connection"],
                s["stream"],
                s["entity"],
                "paused" if s["paused_at"] else "ok",
                ago(s["read_at"], now),
                ago(s["swept_at"], now),
            )
            for s in found["streams"]
        ],
        empty="no streams are mapped",
    )
    _people(screen, found)
    screen.say("")
    screen.table(
        ["run", "where", "when", "seen", "same", "changed", "written", "state"],
        [
            (
                r["kind"],
                ".".join(part for part in (r["connection"], r["stream"]) if part),
                ago(r["started_at"], now),
                r["seen"],
                r["same"],
                r["changed"],
                r["written"],
                r["state"],
            )
            for r in found["runs"]
        ],
        empty="nothing has run yet; start with `tulay sync --once`",
    )
    for r in found["runs"]:
        if r["state"] in ("red", "failed"):
            screen.say(f"{r['kind']} of {r['connection']} is {r['state']}: {r['reason']}", "red")


def _of_quota(connection: Mapping[str, Any]) -> str:
    share = connection["quota_used"]
    of = "" if share is None else f" ({share:.1%} of {connection['calls_a_day']:,})"
    return f"{connection['calls_today']:,}{of}"


def _people(screen: Screen, found: Mapping[str, Any]) -> None:
    """What only a person can get out of the way."""
    waiting = (
        (len(found["letters"]), "set aside, with a reason", "tulay letters"),
        (found["conflicts"], "changed on two sides: which value holds?", "tulay conflicts"),
        (found["reviews"], "perhaps the same as another: who is who?", "tulay links review"),
    )
    rows = [(count, what, where) for count, what, where in waiting if count]
    if rows:
        screen.say("")
        screen.table(["records", "what", "see"], rows, empty="")
