"""How the memory system changes its rows: one function per kind of change, each of them whole.

Used for the hub's writes and for what its users do; the caller opens the transaction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from connectors.kit.contract import Payload
from connectors.kit.errors import RecordMissingError, RecordStaleError
from connectors.memory.patching import get, leaves, lost, patched, shown
from connectors.memory.rules import as_json, check_values, next_state, rejected
from connectors.memory.shapes import Faults, StreamShape
from connectors.memory.storage_tables import Row, Tables

#: Versions of a record that a system with `lock: told` remembers.
_VERSIONS_KEPT = 20
#: Way of writing -> the fault that it is.
_FAULT_OF = {"upper": "shouted", "truncate": "shortened", "round": "rounded"}


class RowWriter:
    """Changes rows of one stream at one moment; `tell` hears of every changed row."""

    def __init__(
        self,
        tables: Tables,
        *,
        stream: str,
        shape: StreamShape,
        now: str,
        faults: Faults | None = None,
        tell: Callable[[Row], None] | None = None,
    ) -> None:
        self._tables = tables
        self._stream = stream
        self._shape = shape
        self._now = now
        self._vices = faults or Faults()
        self._tell = tell

    def create(
        self, payload: Mapping[str, Any], *, external_id: str | None, key: str | None
    ) -> Row:
        """Adds a record. Raises: RecordRejectedError."""
        whole = patched({}, payload, lists=self._shape.lists)
        if self._shape.acts and get(whole, self._shape.state) is None:
            whole[self._shape.state] = self._shape.initial
        self._check_external_id(external_id)
        number = self._tables.next(f"number {self._stream}")
        row = Row(key or str(number), number, "", 0, "", external_id, "live", None)
        return self._save(row, whole, key=None)

    def change(self, key: str, patch: Mapping[str, Any], *, if_version: str | None = None) -> Row:
        """Patches a record. Raises: RecordMissingError, RecordRejectedError, RecordStaleError."""
        row = self.live(key, if_version=if_version)
        whole = patched(json.loads(row.payload), patch, lists=self._shape.lists)
        if self._shape.facts.lock == "told":
            self._tables.keep(self._stream, row, most=_VERSIONS_KEPT)
        return self._save(row, whole, key=key)

    def overwritten(self, key: str, patch: Mapping[str, Any], if_version: str | None) -> Payload:
        """Returns what a patch of that version would replace unread, where the system tells it."""
        row = self._tables.row(self._stream, key)
        if (
            self._shape.facts.lock != "told"
            or row is None
            or if_version in (None, str(row.version))
        ):
            return {}
        past = self._tables.kept(self._stream, key, str(if_version))
        return {} if past is None else lost(json.loads(past), json.loads(row.payload), patch)

    def act(self, key: str, action: str, *, if_version: str | None = None) -> Row:
        """Moves a record to another state. Raises: as `change`."""
        row = self.live(key, if_version=if_version)
        payload: Payload = json.loads(row.payload)
        state = next_state(self._shape, payload, action, where=(self._stream, key))
        return self._save(row, {**payload, self._shape.state: state}, key=key)

    def delete(self, key: str, *, if_version: str | None = None) -> Row:
        """Leaves a tombstone. Raises: RecordMissingError, RecordStaleError."""
        return self._put(replace(self.live(key, if_version=if_version), fate="gone"))

    def merge(self, key: str, *, into: str) -> Row:
        """Makes a record live on as another one, which counts as changed; returns the survivor.

        With the fault `merged` both live on as a third record, which has the values of `into`.
        """
        loser, winner = self.live(key), self.live(into)
        if not self._vices.merged:
            self._put(replace(loser, fate="merged", survivor=into))
            return self._put(winner)
        self._tables.next("struck merged")
        number = self._tables.next(f"number {self._stream}")
        new = str(number)
        for old in (loser, winner):
            self._put(replace(old, fate="merged", survivor=new))
        once = winner.once or loser.once
        return self._put(replace(winner, key=new, number=number, once=once))

    def touch(self, key: str) -> Row:
        """Gives a record a new version and time, and leaves its values."""
        return self._put(self.live(key))

    def restore(self, key: str) -> Row:
        """Restores a deleted record. Raises: RecordMissingError, RecordRejectedError."""
        row = self._tables.row(self._stream, key)
        if row is None or row.fate != "gone":
            message = f"{self._stream} {key} is not among the deleted ones; there is nothing to do"
            raise RecordMissingError(message, stream=self._stream, key=key)
        self._check_unique(row, json.loads(row.payload), key=key)
        return self._put(replace(row, fate="live"))

    def live(self, key: str, *, if_version: str | None = None) -> Row:
        """Returns a record that is there and, where the stream locks, has the expected version."""
        row = self._tables.row(self._stream, key)
        if row is None or row.fate != "live":
            what = "was merged" if row and row.fate == "merged" else "is not there"
            message = f"{self._stream} {key} {what}; fetch it to learn the outcome"
            raise RecordMissingError(message, stream=self._stream, key=key)
        locks = self._shape.facts.lock == "native"
        if locks and if_version is not None and if_version != str(row.version):
            message = f"{self._stream} {key} changed since it was read; read it again"
            raise RecordStaleError(message, stream=self._stream, key=key)
        return row

    def _save(self, row: Row, payload: Payload, *, key: str | None) -> Row:
        ways = {**self._common_ways(payload), **self._shape.ways}
        whole = shown(payload, ways)
        if ways and whole != payload:
            self._note_ways(ways, payload, whole)
        text = as_json(whole, stream=self._stream)
        check_values(self._shape, whole, stream=self._stream, key=key)
        self._check_unique(row, whole, key=key)
        return self._put(replace(row, payload=text))

    def _note_ways(self, ways: Mapping[str, str], given: Payload, kept: Payload) -> None:
        changed = [way for path, way in ways.items() if get(given, path) != get(kept, path)]
        for fault in {_FAULT_OF.get(way.partition(":")[0]) for way in changed} - {None}:
            self._tables.next(f"struck {fault}")

    def _common_ways(self, payload: Payload) -> dict[str, str]:
        ways = self._vices.ways
        if not ways:
            return {}
        last = {path: path.rpartition(".")[2] for path, _ in leaves(payload)}
        return {path: ways[name] for path, name in last.items() if name in ways}

    def _check_unique(self, row: Row, payload: Payload, *, key: str | None) -> None:
        for path in self._shape.unique:
            value = get(payload, path)
            place = "$" + "".join(f'."{part}"' for part in path.split("."))
            where = (
                "WHERE stream = ? AND fate = 'live' AND key <> ? AND json_extract(payload, ?) = ?"
            )
            if value is None:
                continue
            if self._tables.count(where, self._stream, row.key, place, value):
                raise rejected(self._stream, key, {path: "another record has this value"})

    def _put(self, row: Row) -> Row:
        if self._vices.ties and self._tables.has_time(self._stream, self._now):
            self._tables.next("struck ties")
        newer = replace(row, version=self._tables.next("version"), modified_at=self._now)
        self._tables.put(self._stream, newer)
        if self._tell is not None:
            self._tell(newer)
        return newer

    def _check_external_id(self, once: str | None) -> None:
        if once is None or not self._shape.once_unique:
            return
        where = "WHERE stream = ? AND once = ? AND fate = 'live'"
        if self._tables.count(where, self._stream, once):
            field = self._shape.facts.once or "once"
            raise rejected(self._stream, None, {field: "another record has this value"})
