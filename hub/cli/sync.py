"""`tulay sync`: brings all sides together, once, or again and again in the foreground."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from hub.cli.attention import Matter, matters, resumes
from hub.cli.completion import complete_entity
from hub.cli.entity_names import checked_entity
from hub.cli.exit_codes import CONNECTION, FOUND, UNAVAILABLE
from hub.cli.progress import progress
from hub.cli.screen import Screen, complain, shown
from hub.cli.session import Session, command, session
from hub.store.runs import Tally
from hub.sync.attempt import attempt, give_back, take_over
from hub.sync.context import Hub
from hub.sync.due import BySchedule, agenda, by_phase
from hub.sync.progress import Silence
from hub.sync.reporting import Done, news
from hub.sync.run import Report
from hub.sync.run import sync as sync_all

#: Seconds between two looks at what is due.
_TICK = 1.0


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @command(app)
    def sync(
        ctx: typer.Context,
        entity: Annotated[
            list[str] | None,
            typer.Argument(help="Read only these entities.", autocompletion=complete_entity),
        ] = None,
        once: Annotated[
            bool, typer.Option("--once", help="Until nothing is left to do; then end.")
        ] = False,
    ) -> None:
        """Bring all sides together. Without --once, continue by schedule until Ctrl-C.

        Exit code 1 when something waits for a person or is not finished, 3 or 4 when a system
        fails.
        """
        settings = session(ctx).settings()
        with session(ctx).hub(settings) as hub:
            for name in entity or ():
                checked_entity(name, hub.entities)
            code = _once(session(ctx), hub, entity or None)
            if once:
                raise typer.Exit(code)
            _watch(session(ctx), hub, BySchedule(settings.schedules, entity or None))


def _once(session: Session, hub: Hub, entities: Sequence[str] | None) -> int:
    with progress(session) as bars:
        report = sync_all(hub, entities=entities, progress=bars)
    with hub.store.read() as tx:
        people = matters(hub, tx)
    screen = session.screen
    screen.document({**_document(report), "waiting": [asdict(matter) for matter in people]})
    if not screen.json:
        _draw(screen, report, people)
    if report.failed:
        # Who is refused is paused at once; who does not answer is tried again.
        refused = all(name in report.paused for name in report.failed)
        return CONNECTION if refused else UNAVAILABLE
    inconsistent = any(not tally.adds_up for tally in report.tallies)
    return FOUND if report.paused or inconsistent or people or not report.quiet else 0


def _document(report: Report) -> dict[str, Any]:
    return {
        "rounds": report.rounds,
        "changed": report.changed,
        "written": report.written,
        "quiet": report.quiet,
        "failed": report.failed,
        "paused": report.paused,
        "held": [asdict(held) for held in report.held],
        # The name that scripts know it by.
        "elsewhere": sum(held.count for held in report.held if not held.stream),
        "unread": report.unread,
        "runs": _with_records(report),
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
                **dict.fromkeys(("seen", "same", "changed", "quarantined", "written"), 0),
                "skipped": {},
                "adds_up": True,
            },
        )
        for name in ("seen", "same", "changed", "quarantined", "written"):
            row[name] += getattr(tally, name)
        for reason, count in tally.skipped.items():
            row["skipped"][reason] = row["skipped"].get(reason, 0) + count
        row["adds_up"] = row["adds_up"] and tally.adds_up
    return list(rows.values())


def _with_records(report: Report) -> list[dict[str, Any]]:
    """Returns the summed runs, each with the number of its records that are in quarantine.

    `quarantined` adds up with the other counts: a record that fails in each round counts each time.
    """
    rows = summed(report.tallies)
    for row in rows:
        # What was read by notification or sweep is in quarantine as if it had been pulled.
        kind = "push" if row["kind"] == "push" else "pull"
        row["records_quarantined"] = sum(
            number
            for (kept, connection, stream), number in report.quarantined.items()
            if (kept, connection) == (kind, row["connection"])
            and (row["kind"] == "push" or row["stream"] in (stream, ""))
        )
        if row["kind"] not in ("push", "pull"):
            row["records_quarantined"] = min(row["records_quarantined"], row["quarantined"])
    return rows


def _left_alone(tallies: Sequence[Tally]) -> Iterator[tuple[str, str, int]]:
    """Yields place, reason and number of records, counted once: each round may read them again."""
    most: dict[tuple[str, str], int] = {}
    for tally in tallies:
        for reason, count in tally.skipped.items():
            about = (f"{tally.connection} {tally.stream}".rstrip(), reason)
            most[about] = max(most.get(about, 0), count)
    yield from ((place, reason, count) for (place, reason), count in most.items())


def _draw(screen: Screen, report: Report, people: Sequence[Matter]) -> None:
    counts = ("seen", "written", "records_quarantined")
    rows = [row for row in _with_records(report) if any(row[name] for name in counts)]
    screen.table(
        ["run", "where", "seen", "same", "changed", "written", "quarantined"],
        [
            (
                r["kind"],
                ".".join(part for part in (r["connection"], r["stream"]) if part),
                r["seen"],
                r["same"],
                r["changed"],
                r["written"],
                r["records_quarantined"],
            )
            for r in rows
        ],
        empty="nothing to read",
    )
    for place, reason, count in _left_alone(report.tallies):
        screen.note(f"{place}: {count} left alone: {reason}")
    for r in rows:
        if not r["adds_up"]:
            screen.say(
                f"{r['kind']} of {r['connection']} is inconsistent: its counts do not add up", "red"
            )
    for name, why in report.failed.items():
        complain(f"{name}: {why}")
    for name, why in report.paused.items():
        if why != report.failed.get(name):
            complain(f"{name} is paused: {why}")
    rounds = f"{report.rounds} round{'s' if report.rounds != 1 else ''}"
    changed, written = shown(report.changed), shown(report.written)
    left = [*_in_the_way(report), *resumes(report.paused), *map(str, people)]
    ending = f"{rounds}: {changed} changed, {written} written"
    if not left:
        screen.say(f"{ending}; nothing is left to do.")
        return
    if report.quiet:
        screen.say(f"{ending}; what is left waits for you:")
    else:
        screen.say(f"{ending}; there is more to do:")
    for line in left:
        screen.say(f"  {line}")


def _in_the_way(report: Report) -> Iterator[str]:
    """Yields why there is more to do that a later sync will do, and which."""
    for name in report.failed:
        if name not in report.paused:
            yield f"{name} did not answer: tulay sync --once, when it does"
    for held in report.held:
        what = f"reads {held.stream}" if held.stream else f"writes {held.count} records"
        yield f"{held.worker} {what} of {held.connection}; its lease ends {held.until:%H:%M:%S} UTC"
    for name, streams in report.unread.items():
        if name not in report.failed and name not in report.paused:
            yield (
                f"nothing is written to {name} before {', '.join(streams)} were read:"
                " tulay sync --once"
            )
    if not (report.quiet or report.failed or report.held or report.unread):
        yield f"changes kept following from changes for {report.rounds} rounds: tulay sync --once"


def _watch(session: Session, hub: Hub, occasion: BySchedule) -> None:
    """Does what is due by schedule until the process is interrupted."""
    session.screen.note("going on by schedule; stop with Ctrl-C")
    #: Work -> what it last failed with: said once, not each time.
    failing: dict[str, str] = {}
    try:
        while True:
            take_over(hub)
            for work in by_phase(agenda(hub, occasion).ready):
                done = attempt(hub, work, Silence())
                _tell(session.screen, hub, done)
                if done.error is None:
                    failing.pop(work.name, None)
                elif failing.get(work.name) != done.error:
                    failing[work.name] = done.error
                    complain(f"{work.connection}: {done.error}")
            hub.sleep(_TICK)
    finally:
        give_back(hub)


def _tell(screen: Screen, hub: Hub, done: Done) -> None:
    """One line for each run that did something."""
    said = news(hub, done)
    if said is None:
        return
    if done.tally is not None:
        screen.document(summed([done.tally])[0])
    screen.say(f"{hub.clock():%H:%M:%S}  {said}")
