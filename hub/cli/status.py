"""`tulay status`: how things stand, from the database alone; no system is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import typer

from hub.cli.errors import document
from hub.cli.exit_codes import FOUND
from hub.cli.screen import Screen, ago
from hub.cli.session import command, session
from hub.store import outbox
from hub.store.conflicts import list_conflicts
from hub.store.connections import ConnectionState, connection_states
from hub.store.rate_limits import usage
from hub.store.reviews import open_reviews
from hub.store.runs import Run, recent_runs
from hub.store.streams import StreamState, all_streams
from hub.sync.context import Hub
from hub.sync.operate.entries import counted, entries, unnamed
from hub.sync.pauses import waiting_for_people

#: Runs shown.
_RUNS = 10
#: State as it is stored -> state as people read it.


Row = Mapping[str, Any]


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @command(app)
    def status(ctx: typer.Context) -> None:
        """Show connections, streams, backlog, what needs attention, and the last runs.

        Exit code 1 when something needs attention: a connection or stream is paused, a run has
        failed, a conflict or a review is open, or a record is in quarantine.
        """
        screen = session(ctx).screen
        with session(ctx).hub(offline=True) as hub:
            found = gathered(hub, named=screen.json)
            now = hub.clock()
        screen.document(found)
        if not screen.json:
            _draw(screen, found, now)
        if next(_attention(found), None) is not None:
            raise typer.Exit(FOUND)


def gathered(hub: Hub, *, named: bool) -> dict[str, Any]:
    """Returns everything the command shows; `named`: with the name of each quarantined record."""
    with hub.store.read() as tx:
        states = connection_states(tx)
        streams = all_streams(tx)
        backlog = outbox.backlog(tx)
        held = entries(hub, tx) if named else unnamed(hub, tx)
        open_conflicts = list_conflicts(tx)
        reviews = open_reviews(tx)
        runs = recent_runs(tx, limit=_RUNS)
        calls = usage(tx, now=hub.clock())
        paused = waiting_for_people(hub, tx)
    records = counted(held)
    rows = [
        _stream(hub, name, stream, streams.get((name, stream), StreamState()))
        for name, connection in hub.connections.items()
        for stream in connection.channels
    ]
    connections = [
        _connection(hub, name, states.get(name, ConnectionState()), backlog)
        | {"set_aside": records[name]}
        | _calls(*calls.get(name, (0, None)))
        for name in hub.connections
    ]
    return {
        "connections": connections,
        "streams": rows,
        "paused": paused,
        "errors": [document(one) for one in held],
        "letters": [document(one) for one in held],  # the old name, for one release
        "quarantined": records.total(),
        "conflicts": len(open_conflicts),
        "reviews": len(reviews),
        "runs": [_run(run) for run in runs],
    }


def _connection(
    hub: Hub, name: str, state: ConnectionState, backlog: Mapping[tuple[str, str], int]
) -> dict[str, Any]:
    one = hub.connections[name]
    waiting = {kind: backlog.get((name, kind), 0) for kind in ("inbox", "due", "in_flight")}
    return {
        "connection": name,
        "system": one.system,
        "role": one.role,
        "paused_at": state.paused_at,
        "reason": state.reason if state.paused_at else None,
        "notified_at": state.notified_at,
        "to_read": waiting["inbox"],
        "to_write": waiting["due"] + waiting["in_flight"],
    }


def _calls(today: int, daily: int | None) -> dict[str, Any]:
    """Calls since midnight (UTC), of how many that the system allows a day."""
    share = None if not daily else round(today / daily, 4)
    return {"calls_today": today, "calls_a_day": daily, "quota_used": share}


def _stream(hub: Hub, connection: str, stream: str, row: StreamState) -> dict[str, Any]:
    return {
        "connection": connection,
        "stream": stream,
        "entity": hub.connections[connection].channels[stream].entity.name,
        "read_at": row.read_at,
        "swept_at": row.swept_at,
        "paused_at": row.paused_at,
        "reason": row.reason if row.paused_at else None,
    }


def _run(run: Run) -> dict[str, Any]:
    names = ("kind", "connection", "stream", "started_at", "finished_at", "seen", "same", "changed")
    rest = ("skipped", "quarantined", "written", "state", "reason")
    return {name: getattr(run, name) for name in (*names, *rest)}


def _draw(screen: Screen, found: Mapping[str, Any], now: datetime) -> None:
    _draw_connections(screen, found)
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
    screen.say("")
    _draw_runs(screen, found, now)
    rows = list(_attention(found))
    if rows:
        screen.say("")
        screen.table(["attention", "see"], rows, empty="")


def _draw_connections(screen: Screen, found: Mapping[str, Any]) -> None:
    columns = ["connection", "system", "role", "state", "to read", "to write"]
    screen.table(
        [*columns, "quarantined", "calls today"],
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


def _draw_runs(screen: Screen, found: Mapping[str, Any], now: datetime) -> None:
    screen.table(
        ["run", "where", "when", "seen", "same", "changed", "written", "state"],
        [
            (
                r["kind"],
                _where(r),
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


def _where(run: Row) -> str:
    return ".".join(part for part in (run["connection"], run["stream"]) if part)


def _of_quota(connection: Mapping[str, Any]) -> str:
    share = connection["quota_used"]
    of = "" if share is None else f" ({share:.1%} of {connection['calls_a_day']:,})"
    return f"{connection['calls_today']:,}{of}"


def _attention(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields what does not get better by itself, and the one command that helps."""
    for name, reason in found["paused"].items():
        yield f"{name} is paused: {reason}", f"tulay resume {name.replace('.', ' ', 1)}"
    yield from _failing(found["runs"])
    waiting = (
        (found["quarantined"], "in quarantine, with a reason", "tulay errors"),
        (found["conflicts"], "changed in two systems: which value is right?", "tulay conflicts"),
        (found["reviews"], "may be the same as another one", "tulay links review"),
    )
    for count, what, command_ in waiting:
        if count:
            yield f"{count:,} record{'s' if count != 1 else ''} {what}", command_


def _failing(runs: list[Row]) -> Iterator[tuple[str, str]]:
    """Yields each failure once, with its count: inconsistent runs, and places that fail now."""
    bad: Counter[tuple[str, ...]] = Counter()
    succeeded: set[tuple[str, str]] = set()
    for run in runs:  # the newest first
        place = (run["kind"], _where(run))
        if run["state"] == "inconsistent" or (run["state"] == "failed" and place not in succeeded):
            bad[(*place, run["connection"], str(run["state"]), str(run["reason"]))] += 1
        elif run["state"] == "done":
            succeeded.add(place)
    for (kind, where, connection, state, reason), count in bad.items():
        times = f" {count} times" if count > 1 else ""
        yield f"{kind} of {where} {state}{times}: {reason}", f"tulay check {connection}"
