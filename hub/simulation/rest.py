"""Settling: when users stop, the hub must reach agreement and then write nothing more."""

from __future__ import annotations

from collections.abc import Iterator

from hub.simulation.checks import echoes
from hub.simulation.decisions import accept_changes
from hub.simulation.findings import DEFECTS, Finding, broke_down
from hub.simulation.operations import count
from hub.simulation.play import Play
from hub.simulation.stage import EndlessError
from hub.store import quarantine
from hub.store.streams import save_stream
from hub.sync.run import Report, sync

#: The line that announces a break.
SETTLING = "break: the hub must settle"
#: Maximum number of `sync` calls until nothing is left to do; each makes several rounds.
_MOST = 4


def rest(play: Play) -> None:
    """Lets the hub settle, then makes one more full round, which must write nothing."""
    play.say(SETTLING)
    stage = play.stage
    if stage.faults_on:
        stage.inject_faults(resting=True)
    try:
        _come_to_rest(play)
    finally:
        if stage.faults_on:
            stage.inject_faults()


def _come_to_rest(play: Play) -> None:
    play.stage.clock.wait_out()
    report = _until_quiet(play)
    if report is None:
        return
    if not report.quiet:
        play.findings.append(
            Finding("P3", f"not settled after {report.rounds} rounds: {report.written} more writes")
        )
    play.watch.look()
    play.findings += list(_nothing_more(play, "a quiet round"))


def read_again(play: Play) -> None:
    """Lets the hub read everything again, as after a change of a mapping: it must write nothing."""
    play.say("everything is read again")
    hub = play.stage.hub
    with hub.store.begin() as tx:
        for connection in hub.connections.values():
            for stream in connection.channels:
                save_stream(tx, connection.name, stream, cursor=None)
    play.findings += list(_nothing_more(play, "reading everything again"))


def _until_quiet(play: Play) -> Report | None:
    report = None
    for _ in range(_MOST):
        report = _round(play)
        if report is None:
            return None
        paused = accept_changes(play.stage.hub)
        play.surprises += paused
        if report.quiet and not paused:
            return report
    return report


def _round(play: Play) -> Report | None:
    try:
        play.stage.begin_job(whole=True)
        report = sync(play.stage.hub)
    except EndlessError as error:
        play.endless = True
        play.findings.append(Finding("P3", f"a round {error}"))
        return None
    except DEFECTS as error:
        play.findings.append(broke_down("sync", error))
        return None
    play.say(f"  rounds: {report.rounds}, changed {report.changed}, written {report.written}")
    for tally in report.tallies:
        count(play, tally)
    for name, why in report.failed.items():
        play.findings.append(Finding("P3", f"{name} fails although nothing is wrong: {why}"))
    return report


def _nothing_more(play: Play, what: str) -> Iterator[Finding]:
    before = play.watch.writes.copy()
    report = _round(play)
    if report is None:
        return
    found = echoes(play.stage.company.systems)
    written = {(name, line.stream, line.key): line.op for name, line in found}
    play.watch.look()
    play.echoes += (play.watch.writes - before).total()
    for (name, stream, key), op in list(written.items())[:20]:
        subject = play.watch.subject(name, stream, key)
        yield Finding(
            "P4", f"{what} writes: {op} of {name} {stream} {key}", (subject,) if subject else ()
        )
    if report.changed:
        yield Finding("P3", f"{what} changes {report.changed} golden records")


def left_over(play: Play) -> dict[str, int]:
    """Returns what waits at the end: short reason -> number."""
    found: dict[str, int] = {}
    with play.stage.store.read() as tx:
        for entry in quarantine.listing(tx, kinds=("push",)):
            reason = f"{entry.stream} for {entry.source}: {entry.state}"
            found[reason] = found.get(reason, 0) + 1
    return found
