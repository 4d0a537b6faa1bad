"""`tulay sync`: brings all sides together, once, or again and again in the foreground."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from connectors.kit.errors import ConnectorError
from hub.cli.exits import CONNECTION, FOUND, UNAVAILABLE
from hub.cli.progress import progress
from hub.cli.screen import Screen, complain, shown
from hub.cli.session import Session, command, session
from hub.errors import UnknownError
from hub.settings import Settings
from hub.store import outbox
from hub.store.outbox import LEASE
from hub.store.runs import Tally
from hub.store.streams import stream_state
from hub.sync.derive import age, derive
from hub.sync.drain import drain
from hub.sync.hub import Channel, Hub
from hub.sync.pull import pull, sweep
from hub.sync.push import push
from hub.sync.round import Report
from hub.sync.round import sync as sync_all
from mappings.kit.files import nearest

#: How often the foreground loop looks whether something is due.
_TICK = timedelta(seconds=5)


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @command(app)
    def sync(
        ctx: typer.Context,
        entity: Annotated[
            list[str] | None, typer.Argument(help="Read only these entities.")
        ] = None,
        once: Annotated[
            bool, typer.Option("--once", help="Until nothing is left to do; then end.")
        ] = False,
    ) -> None:
        """Bring all sides together. Without --once: goes on by schedule until Ctrl-C.

        Exit code 1 when something is paused or set aside, 3 or 4 when a system fails.
        """
        settings = session(ctx).settings()
        with session(ctx).hub(settings) as hub:
            for name in entity or ():
                if name not in hub.entities:
                    raise UnknownError(f"there is no entity {name!r}{nearest(name, hub.entities)}")
            code = _once(session(ctx), hub, entity or None)
            if once:
                raise typer.Exit(code)
            _Watch(hub, settings, entity or None, session(ctx).screen).run()


def _once(session: Session, hub: Hub, entities: Sequence[str] | None) -> int:
    with progress(session) as bars:
        report = sync_all(hub, entities=entities, progress=bars)
    with hub.store.read() as tx:
        backlog = outbox.backlog(tx)
    # Leased by a worker that runs, or by one that was killed: its lease ends by itself.
    elsewhere = sum(count for (_, state), count in backlog.items() if state in ("due", "sent"))
    screen = session.screen
    screen.document({**_document(report), "elsewhere": elsewhere})
    if not screen.json:
        _draw(screen, report)
        if elsewhere and report.quiet:
            minutes = int(LEASE.total_seconds() // 60)
            screen.say(
                f"{elsewhere} writes are in the hands of another worker; if that one was killed,"
                f" they go on after {minutes} minutes at most."
            )
    if report.failed:
        # Who is refused is paused at once; who does not answer is tried again.
        refused = all(name in report.paused for name in report.failed)
        return CONNECTION if refused else UNAVAILABLE
    red = any(not tally.adds_up for tally in report.tallies)
    buried = any(tally.buried for tally in report.tallies)
    return FOUND if report.paused or red or buried else 0


def _document(report: Report) -> dict[str, Any]:
    return {
        "rounds": report.rounds,
        "changed": report.changed,
        "written": report.written,
        "quiet": report.quiet,
        "failed": report.failed,
        "paused": report.paused,
        "runs": summed(report.tallies),
    }


def summed(tallies: Sequence[Tally]) -> list[dict[str, Any]]:
    """Returns what all rounds did, one row per kind of run and place."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for tally in tallies:
        row = rows.setdefault(
            (tally.kind, tally.connection, tally.stream),
            {
                "kind": tally.kind,
                "connection": tally.connection,
                "stream": tally.stream,
                **dict.fromkeys(("seen", "same", "changed", "buried", "written"), 0),
                "skipped": {},
                "adds_up": True,
            },
        )
        for name in ("seen", "same", "changed", "buried", "written"):
            row[name] += getattr(tally, name)
        for reason, count in tally.skipped.items():
            row["skipped"][reason] = row["skipped"].get(reason, 0) + count
        row["adds_up"] = row["adds_up"] and tally.adds_up
    return list(rows.values())


def _draw(screen: Screen, report: Report) -> None:
    rows = [r for r in summed(report.tallies) if r["seen"] or r["written"] or r["buried"]]
    screen.table(
        ["run", "where", "seen", "same", "changed", "written", "set aside"],
        [
            (
                r["kind"],
                ".".join(part for part in (r["connection"], r["stream"]) if part),
                r["seen"],
                r["same"],
                r["changed"],
                r["written"],
                r["buried"],
            )
            for r in rows
        ],
        empty="nothing to read",
    )
    for r in rows:
        for reason, count in r["skipped"].items():
            screen.note(f"{r['connection']} {r['stream']}: {count} left alone: {reason}")
        if not r["adds_up"]:
            screen.say(f"{r['kind']} of {r['connection']} is red: its counts do not add up", "red")
    for name, why in report.failed.items():
        complain(f"{name}: {why}")
    for name, why in report.paused.items():
        complain(f"{name} is paused: {why}")
    rounds = f"{report.rounds} round{'s' if report.rounds != 1 else ''}"
    ending = "nothing is left to do" if report.quiet else "there is more to do"
    changed, written = shown(report.changed), shown(report.written)
    screen.say(f"{rounds}: {changed} changed, {written} written; {ending}.")


@dataclass
class _Watch:
    """Does what is due by schedule, over and over, in one process."""

    hub: Hub
    settings: Settings
    entities: Sequence[str] | None
    screen: Screen
    #: Connection -> what it last failed with: said once, not every tick.
    _failing: dict[str, str] = field(default_factory=dict)
    _aged_at: datetime | None = None

    def run(self) -> None:
        """Goes on until the process is interrupted."""
        self.screen.note("going on by schedule; stop with Ctrl-C")
        pause = threading.Event()
        while not pause.wait(_TICK.total_seconds()):
            self.tick()

    def tick(self) -> None:
        """Reads what is due, looks at what was asked for, derives, writes."""
        now = self.hub.clock()
        if self._aged_at is None or now - self._aged_at >= timedelta(hours=1):
            age(self.hub)
            self._aged_at = now
        for name, connection in self.hub.connections.items():
            try:
                for channel in connection.channels.values():
                    self._read(channel, now)
                self._tell(drain(self.hub, name))
            except ConnectorError as error:
                self._complain(name, error)
        derive(self.hub)
        for name in self.hub.connections:
            try:
                self._tell(push(self.hub, name))
            except ConnectorError as error:
                self._complain(name, error)
            else:
                self._failing.pop(name, None)

    def _read(self, channel: Channel, now: datetime) -> None:
        if self.entities is not None and channel.entity.name not in self.entities:
            return
        if not channel.mapping.adopt:
            return
        connection, stream = channel.connection, channel.stream
        with self.hub.store.read() as tx:
            state = stream_state(tx, connection, stream)
        schedules = self.settings.schedules
        if state.read_at is None or now - state.read_at >= schedules.pull_every(connection, stream):
            self._tell(pull(self.hub, connection, stream))
        if channel.facts.deletions == "pages":
            return
        if state.swept_at is None or now - state.swept_at >= schedules.sweep:
            self._tell(sweep(self.hub, connection, stream))

    def _tell(self, tally: Tally) -> None:
        """One line for each run that did something."""
        if not (tally.changed or tally.written or tally.buried):
            return
        self.screen.document(summed([tally])[0])
        where = ".".join(part for part in (tally.connection, tally.stream) if part)
        at = self.hub.clock().strftime("%H:%M:%S")
        self.screen.say(
            f"{at}  {tally.kind} {where}: {tally.changed} changed, {tally.written} written,"
            f" {tally.buried} set aside"
        )

    def _complain(self, connection: str, error: ConnectorError) -> None:
        if self._failing.get(connection) != str(error):
            self._failing[connection] = str(error)
            complain(f"{connection}: {error}")
