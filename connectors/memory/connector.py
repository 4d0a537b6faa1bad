"""The connector of a memory system: pages, batches, cursors, errors.

Every call is subject to the system's faults; it refuses what the stream does not claim.
"""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from connectors.kit.budget import Budget
from connectors.kit.contract import (
    Action,
    Create,
    Delete,
    FieldNeed,
    Finding,
    Merge,
    Notification,
    Outcome,
    Page,
    Payload,
    Record,
    Request,
    StreamSchema,
    Update,
    Write,
)
from connectors.kit.errors import ContractError, CredentialsError, RecordError, UnavailableError
from connectors.memory.describing import described
from connectors.memory.faults import SLOW, FaultInjector, refused
from connectors.memory.reading import Place, Reader, place
from connectors.memory.rules import check_state, rejected
from connectors.memory.storage_tables import Row
from connectors.memory.system import MemorySystem
from connectors.memory.webhooks import events, genuine
from connectors.memory.writing import RowWriter


class MemoryConnector:
    """A client of one memory system; several may share it, in one process or by its file."""

    def __init__(self, settings: Mapping[str, Any], budget: Budget | None = None) -> None:
        path = settings.get("path")
        self._open(MemorySystem.named(settings.get("system") or "memory", path=path), settings)
        self._budget = budget

    @classmethod
    def of(cls, system: MemorySystem, **settings: Any) -> MemoryConnector:
        """Opens a client of this system; `settings` as in manifest.yaml."""
        connector = cls.__new__(cls)
        connector._open(system, settings)
        connector._budget = None
        return connector

    def _open(self, system: MemorySystem, settings: Mapping[str, Any]) -> None:
        self.system = system
        self._password = str(settings.get("password") or "")
        self._secret = str(settings.get("webhook_secret") or "")
        self._size = int(settings.get("page") or 100)
        overlap = settings.get("overlap")
        self._overlap = 5.0 if overlap is None else float(overlap)
        self._weather = FaultInjector(system.name, system.fault_state)
        for stream in settings.get("streams") or ():
            if stream not in system.streams():
                system.declare(stream)

    def __repr__(self) -> str:
        return f"MemoryConnector({self.system.name!r})"

    def _call(self) -> None:
        if self._budget:
            self._budget.take()
        self.system.count_call()
        if not hmac.compare_digest(self._password.encode(), self.system.password.encode()):
            raise CredentialsError(f"{self.system.name} refused the password; set it in tulay.yaml")

    # -- what is there ---------------------------------------------------------------------------

    def check(self) -> Sequence[Finding]:
        """Proves that the system is up and the password is correct."""
        self._call()
        self._weather.reading()
        streams = ", ".join(self.system.streams())
        return [Finding("ok", f"the memory system {self.system.name!r} has the streams {streams}")]

    def describe(self, stream: str) -> StreamSchema:
        """Returns declared fields and those that the newest records show."""
        self._call()
        self._weather.reading()
        return described(self.system, stream)

    def prepare(self, needs: Sequence[FieldNeed]) -> Sequence[Finding]:
        """Declares the wanted fields that are not declared yet."""
        self._call()
        findings = []
        for need in needs:
            shape = self.system.shape(need.stream)
            if need.name not in shape.fields:
                self.system.declare(need.stream, fields={**shape.fields, need.name: need.type})
                findings.append(Finding("ok", f"{need.stream}: created the field {need.name}"))
        return findings

    # -- reading ---------------------------------------------------------------------------------

    def pages(self, stream: str, since: str | None) -> Iterator[Page]:
        """Yields what changed; everything for streams that only read in full."""
        facts = self.system.shape(stream).facts
        reader = Reader(self.system, stream, size=self._size, overlap=self._overlap)
        if since:
            self._weather.cursor(stream)
        start = place(self.system, stream, since) if since else None
        if start is None or (facts.read == "full" and start.full is None):
            start = Place(self.system.epoch, reader.horizon, full=0)
        read = self._increment if start.full is None else self._full
        yield from read(reader, stream, start)

    def _full(self, reader: Reader, stream: str, start: Place) -> Iterator[Page]:
        until, done, last = reader.last_number(), start.full or 0, False
        total = self.system.tables.count("WHERE stream = ? AND fate = 'live'", stream)
        while not last:
            self._call()
            self._weather.reading()
            rows, last = reader.all_after(done, until)
            done = rows[-1].number if rows else done
            there = Place(start.epoch, start.since, full=None if last else done)
            shown = reader.shown(rows)
            yield Page(records=[record(r) for r in shown], cursor=there.text(), total=total)
            self.system.turn_page(stream, last=last)

    def _increment(self, reader: Reader, stream: str, start: Place) -> Iterator[Page]:
        tombstones = self.system.shape(stream).facts.deletions == "pages"
        since, number, last = start.since, start.number, False
        while not last:
            self._call()
            self._weather.reading()
            rows, last = reader.changed(since, number)
            there = Place(start.epoch, reader.horizon)
            if rows and not last:
                since, number = rows[-1].modified_at, rows[-1].number
                there = reader.after(rows[-1])
            yield sorted_out(rows, tombstones=tombstones, cursor=there.text())
            self.system.turn_page(stream, last=last)

    def fetch(self, stream: str, keys: Sequence[str]) -> Page:
        """Reads some keys now, whatever the search index says."""
        self._call()
        self._weather.reading()
        self._within_batch(stream, len(keys))
        rows: dict[str, Row] = {}
        gone: list[str] = []
        merges: list[Merge] = []
        for key in keys:
            row = self._survivor(stream, key)
            if row is not None and row.key != key:
                merges.append(Merge(key, row.key))
            if row is None or row.fate != "live" or self.system.fault_state.hides(stream, row.key):
                gone.append(row.key if row else key)
            else:
                rows[row.key] = row
        return Page([record(row) for row in rows.values()], gone, merges)

    def _survivor(self, stream: str, key: str) -> Row | None:
        row = self.system.row(stream, key)
        while row is not None and row.survivor:
            row = self.system.row(stream, row.survivor)
        return row

    def keys(self, stream: str) -> Iterator[Sequence[str]]:
        """Yields the keys of all live records."""
        self.system.shape(stream)
        reader = Reader(self.system, stream, size=self._size, overlap=self._overlap)
        until, done, last = reader.last_number(), 0, False
        while not last:
            self._call()
            self._weather.reading()
            rows, last = reader.all_after(done, until)
            done = rows[-1].number if rows else done
            yield [row.key for row in reader.shown(rows)]
            self.system.turn_page(stream, last=last)

    def find(self, stream: str, external_ids: Sequence[str]) -> Mapping[str, Record]:
        """Returns what was created with these hub ids, followed through merges."""
        self._call()
        self._weather.reading("find")
        found: dict[str, Record] = {}
        if self.system.shape(stream).facts.once is None:
            return found
        faults = self.system.faults
        newest = faults.lag if faults.find_lags else 0.0
        latest = Reader(self.system, stream, size=1, overlap=newest).horizon
        for hub_id in external_ids:
            where = "WHERE stream = ? AND once = ? AND modified_at <= ? ORDER BY fate DESC"
            for row in self.system.tables.rows(where, stream, hub_id, latest):
                there = self._survivor(stream, row.key)
                if there is not None and there.fate == "live":
                    found[hub_id] = record(there)
        return found

    # -- writing ---------------------------------------------------------------------------------

    def write(self, stream: str, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Writes a batch, row by row, and answers with whole records."""
        self._call()
        self._within_batch(stream, len(writes))
        fault = self._weather.writing()
        for hook in self.system.hooks.before_write:
            hook(stream)
        happens = self._weather.cut(len(writes)) if fault == "partial" else len(writes)
        with self.system.tables.transaction():
            pen = self.system.pen(stream)
            outcomes = [self._one(pen, stream, write) for write in writes[:happens]]
        for hook in self.system.hooks.after_write:
            hook(stream)
        faults = self.system.faults
        time.sleep(max(faults.slow, SLOW if self.system.fault_state.strikes("slow") else 0.0))
        lost = UnavailableError(f"{self.system.name} did not answer: the outcome is unknown")
        if fault in ("lost", "partial"):
            raise lost
        if fault == "row_lost" and outcomes:
            outcomes[self._weather.cut(len(outcomes))] = Outcome(error=lost)
        return outcomes

    def _one(self, pen: RowWriter, stream: str, write: Write) -> Outcome:
        told: Payload = {}
        if isinstance(write, Update):
            told = pen.overwritten(write.key, write.payload, write.if_version)
        try:
            row, op = self._applied(pen, stream, write)
        except RecordError as error:
            return Outcome(error=error)
        self.system.tables.log(stream, row.key, op)
        if row.fate != "live":
            return Outcome(key=row.key)
        return Outcome(key=row.key, record=record(row), overwritten=told or None)

    def _applied(self, pen: RowWriter, stream: str, write: Write) -> tuple[Row, str]:
        shape = self.system.shape(stream)
        if broken := refused(self.system.faults, stream, write):
            self.system.fault_state.has_happened("refused")
            raise rejected(stream, getattr(write, "key", None), broken)
        match write:
            case Create(external_id=once, payload=payload) if shape.facts.create:
                new = {shape.state: shape.initial}
                check_state(shape, new, {**new, **payload}, where=(stream, None))
                kept = once if shape.facts.once else None
                return pen.create(payload, external_id=kept, key=None), "create"
            case Update(key=key, payload=payload, if_version=expected) if shape.facts.update:
                row = pen.live(key, if_version=expected)
                if expected is not None and expected != str(row.version):
                    # Without a lock the write succeeds: over values that the writer never read.
                    self.system.tables.log(stream, key, "unread")
                old = json.loads(row.payload)
                check_state(shape, old, {**old, **payload}, where=(stream, key))
                return pen.change(key, payload, if_version=expected), "update"
            case Delete(key=key, if_version=expected) if shape.facts.delete:
                return pen.delete(key, if_version=expected), "delete"
            case Action(key=key, transition=action, if_version=expected):
                return pen.act(key, action, if_version=expected), f"act:{action}"
        what = type(write).__name__.lower()
        raise rejected(stream, getattr(write, "key", None), {what: "this stream cannot do it"})

    def _within_batch(self, stream: str, count: int) -> None:
        most = self.system.shape(stream).facts.batch
        if count > most:
            raise ContractError(f"{stream}: {count} records in one call; at most {most} may be")

    # -- being called ----------------------------------------------------------------------------

    def verify(self, request: Request) -> bool:
        """Returns True if the delivery has our signature and is recent."""
        return genuine(request, self._secret)

    def notifications(self, body: bytes) -> Sequence[Notification]:
        """Reads a verified delivery."""
        return events(body)

    def close(self) -> None:
        """Closes the connection; the system stays."""


def record(row: Row) -> Record:
    """Returns a stored row as the contract's record."""
    return Record(
        key=row.key,
        payload=json.loads(row.payload),
        version=str(row.version),
        modified_at=datetime.fromisoformat(row.modified_at),
        external_id=row.once,
    )


def sorted_out(rows: Sequence[Row], *, tombstones: bool, cursor: str) -> Page:
    """Builds a page of rows in any state; tombstones and merges only where they are reported."""
    live = [record(row) for row in rows if row.fate == "live"]
    if not tombstones:
        return Page(live, cursor=cursor)
    gone = [row.key for row in rows if row.fate == "gone"]
    merges = [Merge(row.key, row.survivor) for row in rows if row.survivor]
    return Page(live, gone, merges, cursor=cursor)
