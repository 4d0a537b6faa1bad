"""The checker: what happened to every typed value, and which promises are broken.

Goes through the history record by record, in batches, and looks each value up in the store.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hub.simulation.agreement import Waiting, absent, disagreements, waiting
from hub.simulation.change_history import History, TypedValue
from hub.simulation.checks import made_twice
from hub.simulation.emulators import Emulator
from hub.simulation.findings import Finding
from hub.simulation.play import Play
from hub.simulation.stage import Stage
from hub.store import audit
from hub.store.golden import Golden, load_golden
from hub.store.links import links_by_key
from mappings.kit.errors import LensError

_PORTION = 500
#: Fates of changes, from best to worst: a change has the worst fate of its values.
PROPAGATED, SUPERSEDED, CONFLICT, WAITING, OVERWRITTEN, LOST = "abcdef"
#: Findings per promise that are kept; the others are counted.
_MOST = 50


@dataclass
class CheckResult:
    """What happened to the changes."""

    findings: list[Finding] = field(default_factory=list)
    #: Fate -> number of changes.
    fates: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    #: Number of findings that are not kept.
    more: int = 0

    def add(self, finding: Finding) -> None:
        """Records a broken promise."""
        if sum(one.promise == finding.promise for one in self.findings) < _MOST:
            self.findings.append(finding)
        else:
            self.more += 1


def check_history(play: Play) -> CheckResult:
    """Checks a simulation that has settled; it may continue and be checked again."""
    stage, history = play.stage, play.history
    check_result = CheckResult()
    history.fates.clear()
    for finding in play.findings:
        check_result.add(finding)
    excuses = waiting(stage)
    accounts = _Accounts(stage, history, excuses, check_result)
    for portion in history.by_record(_PORTION):
        accounts.settle(portion)
    # Deletions and merges have no typed value; whether they hold is checked below.
    history.fates.set_others(PROPAGATED)
    check_result.fates = history.fates.counts()
    for finding in (*disagreements(stage, excuses), *absent(stage, excuses)):
        check_result.add(finding)
    for finding in (*_restored(stage, history), *_wrongly_deleted(stage, history)):
        check_result.add(finding)
    for finding in (*_still_gone(stage), *_unwritten(stage)):
        check_result.add(finding)
    for finding in _duplicates(stage, history):
        check_result.duplicates += 1
        check_result.add(finding)
    with stage.store.read() as tx:
        inconsistent = audit.runs_by_state(tx).get("inconsistent", 0)
    if inconsistent:
        check_result.add(
            Finding("P10", f"{inconsistent} runs are inconsistent: their counts do not add up")
        )
    return check_result


class _Accounts:
    """Finds the fate of each value."""

    def __init__(
        self, stage: Stage, history: History, excuses: Waiting, check_result: CheckResult
    ) -> None:
        self.stage, self.history, self.excuses, self.check_result = (
            stage,
            history,
            excuses,
            check_result,
        )
        self.gaps = history.gaps()

    def settle(self, portion: Sequence[Sequence[TypedValue]]) -> None:
        """Judges the values typed into some records of one stream."""
        connection, stream, _ = portion[0][0].record_ref
        keys = [lines[0].key for lines in portion]
        with self.stage.store.read() as tx:
            links = links_by_key(tx, connection, stream, keys)
            ids = [link.golden_id for link in links.values() if link.golden_id]
            golden = load_golden(tx, ids)
            history = audit.remembered(tx, ids)
            still, over = audit.disputed(tx, ids)
        endings = self.history.endings([lines[0].record_ref for lines in portion])
        fates: list[tuple[int, str]] = []
        for lines in portion:
            link = links.get(lines[0].key)
            one = golden.get(link.golden_id or "") if link is not None else None
            known = Known(
                one,
                history.get(one.id, set()) | over.get(one.id, set()) if one else set(),
                still.get(one.id, set()) if one else set(),
            )
            fates += self._record(lines, known, endings.get(lines[0].record_ref))
        self.history.fates.set(fates)

    def _record(
        self, lines: Sequence[TypedValue], known: Known, ending: str | None
    ) -> Iterator[tuple[int, str]]:
        later: dict[str, TypedValue] = {}
        for line in reversed(lines):
            fate = self._fate(line, known, later.get(line.path), ending)
            later[line.path] = line
            if fate == LOST:
                what = (
                    f"typed into {line.connection} {line.stream} {line.key} {line.path}, and lost:"
                    f" {line.value!r}"
                )
                self.check_result.add(Finding("P1", what, (line.subject,)))
            yield line.number, fate

    def _fate(
        self, line: TypedValue, known: Known, later: TypedValue | None, ending: str | None
    ) -> str:
        golden, said = known.golden, (line.path, line.value)
        if line.reached:
            return PROPAGATED
        if golden is not None and golden.values.get(line.path) == line.value:
            refused = self.excuses.refused.get(golden.id, set()) - {line.connection}
            return WAITING if refused else PROPAGATED
        if said in known.disputed:
            return CONFLICT
        if said in known.history:
            return SUPERSEDED
        if line.record_ref in self.excuses.records:
            return WAITING
        if later is not None and later.unread:
            return SUPERSEDED  # overwritten by its user before the hub had read it
        if later is None and ending is not None and ending.endswith("unread"):
            return SUPERSEDED  # deleted before the hub had read it
        if not line.unique and (later is not None or known.moved_on(line)):
            return SUPERSEDED
        return OVERWRITTEN if line.record_ref in self.gaps else LOST


@dataclass(frozen=True)
class Known:
    """What the hub knows about one record."""

    golden: Golden | None
    history: set[audit.Said]
    disputed: set[audit.Said]

    def moved_on(self, line: TypedValue) -> bool:
        """Returns True if the history knows a later change of a state or a blank."""
        if line.value is None and self.golden is not None:
            return True  # the policy does not keep it; disagreements() checks that it is filled
        return any(path == line.path for path, _ in self.history)


def _restored(stage: Stage, history: History) -> Iterator[Finding]:
    """Yields records that users deleted and that came back."""
    for connection, stream, key, subject, newest in history.ended():
        with stage.store.read() as tx:
            link = links_by_key(tx, connection, stream, [key]).get(key)
        if link is not None and link.gone_at is None:
            what = f"{connection} {stream} {key} was deleted, but not for the hub"
            yield Finding("P8", what, (subject,))
        elif subject in stage.company.merged:
            continue  # others remain as the same subject
        elif link is not None and link.golden_id is not None:
            system = stage.company.systems[connection]
            # An older record with this id is not a new one: two users, or a user and the hub, had
            # created the same. `+number` makes SQLite search by the hub id, not by the many later
            # numbers.
            where = "WHERE stream = ? AND once = ? AND fate = 'live' AND +number > ?"
            again = system.tables.rows(where, stream, link.golden_id, newest)
            if again:
                what = (
                    f"{connection} {stream} {key} was deleted, and created again as {again[0].key}"
                )
                yield Finding("P8", what, (subject,))


def _wrongly_deleted(stage: Stage, history: History) -> Iterator[Finding]:
    """Yields deletions that the hub concluded from an incomplete read."""
    ended = {(connection, key) for connection, _, key, *_ in history.ended()}
    for connection, system in stage.company.systems.items():
        ended |= {(connection, key) for _, key in system.page_faults.vanished()}
    with stage.store.read() as tx:
        for golden_id, connection, key in audit.presumed_deleted(tx):
            if (connection, key) in ended:
                continue
            golden = load_golden(tx, [golden_id]).get(golden_id)
            if golden is not None and golden.deleted_at is None:
                what = f"{connection} {key} was taken for deleted, but no user had deleted it"
                yield Finding("P8", what)


def _still_gone(stage: Stage) -> Iterator[Finding]:
    """Yields records that were gone for a while, came back, and are still gone for the hub."""
    for connection, system in stage.company.systems.items():
        for stream, key in system.page_faults.vanished():
            row = system.row(stream, key)
            with stage.store.read() as tx:
                link = links_by_key(tx, connection, stream, [key]).get(key)
            if row is not None and row.fate == "live" and link is not None and link.gone_at:
                what = f"{connection} {stream} {key} came back, but is still gone for the hub"
                yield Finding("P5", what)


def _unwritten(stage: Stage) -> Iterator[Finding]:
    """Yields live entities of a stream without a primary record."""
    with stage.store.read() as tx:
        for connection, stream, key in audit.unwritten(tx):
            what = f"{connection} {stream} {key} is live, but has no primary record"
            yield Finding("P3", what)


def _duplicates(stage: Stage, history: History) -> Iterator[Finding]:
    """Yields subjects with two records in a system where users created one."""
    for connection, emulators in stage.company.emulators.items():
        for emulator in emulators.values():
            yield from _twice_made(stage, connection, emulator)
            history.fates.tags(_tags(stage, connection, emulator))
    for connection, stream, subject, number, keys in history.fates.duplicates():
        if subject in stage.company.shared or subject in stage.company.disturbed:
            continue
        what = f"{connection} {stream} has {subject} {number} times: {keys}"
        yield Finding("P2", what, (subject,))


def _twice_made(stage: Stage, connection: str, emulator: Emulator) -> Iterator[Finding]:
    system = stage.company.systems[connection]
    for twins in made_twice({connection: system}, [emulator.stream]):
        first = system.row(emulator.stream, twins.keys.partition(",")[0])
        subject = emulator.subject(emulator.read(json.loads(first.payload))) if first else None
        yield Finding("P2", str(twins), (subject,) if subject else ())


def _tags(stage: Stage, connection: str, emulator: Emulator) -> Iterator[tuple[str, str, str, str]]:
    system, after = stage.company.systems[connection], 0
    where = "WHERE stream = ? AND fate = 'live' AND number > ? ORDER BY number LIMIT ?"
    while rows := system.tables.rows(where, emulator.stream, after, _PORTION):
        after = rows[-1].number
        for row in rows:
            try:
                subject = emulator.subject(emulator.read(json.loads(row.payload)))
            except LensError:
                continue  # quarantined by the hub, and counted there
            if subject is not None:
                yield connection, emulator.stream, subject, row.key
