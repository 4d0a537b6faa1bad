"""How the memory system changes its rows: one function per kind of change, each of them whole.

Used for the hub's writes and for what people do over there; the caller opens the transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from connectors.kit.contract import Payload
from connectors.kit.errors import RecordMissingError, RecordStaleError
from connectors.memory.patches import get, lost, patched, shown
from connectors.memory.rules import as_json, check_values, next_state, rejected
from connectors.memory.shapes import StreamShape
from connectors.memory.tables import Row, Tables

#: Versions of a record that a system with `lock: told` remembers.
_VERSIONS_KEPT = 20


class Pen:
    """Changes rows of one stream at one moment."""

    def __init__(self, tables: Tables, *, stream: str, shape: StreamShape, now: str) -> None:
        self._tables = tables
        self._stream = stream
        self._shape = shape
        self._now = now

    def create(self, payload: Mapping[str, Any], *, once: str | None, key: str | None) -> Row:
        """Adds a record. Raises: RecordRejectedError."""
        whole = patched({}, payload, lists=self._shape.lists)
        if self._shape.acts and get(whole, self._shape.state) is None:
            whole[self._shape.state] = self._shape.initial
        number = self._tables.next(f"number {self._stream}")
        row = Row(key or str(number), number, "", 0, "", once, "live", None)
        return self._save(row, whole, key=None)

    def change(self, key: str, patch: Mapping[str, Any], *, expected: str | None = None) -> Row:
        """Patches a record. Raises: RecordMissingError, RecordRejectedError, RecordStaleError."""
        row = self.live(key, expected=expected)
        whole = patched(json.loads(row.payload), patch, lists=self._shape.lists)
        if self._shape.facts.lock == "told":
            self._tables.keep(self._stream, row, most=_VERSIONS_KEPT)
        return self._save(row, whole, key=key)

    def overwritten(self, key: str, patch: Mapping[str, Any], expected: str | None) -> Payload:
        """Returns what a patch of that version would replace unread, where the system tells it."""
        row = self._tables.row(self._stream, key)
        if self._shape.facts.lock != "told" or row is None or expected in (None, str(row.version)):
            return {}
        past = self._tables.kept(self._stream, key, str(expected))
        return {} if past is None else lost(json.loads(past), json.loads(row.payload), patch)

    def act(self, key: str, action: str, *, expected: str | None = None) -> Row:
        """Moves a record to another state. Raises: as `change`."""
        row = self.live(key, expected=expected)
        payload: Payload = json.loads(row.payload)
        state = next_state(self._shape, payload, action, where=(self._stream, key))
        return self._save(row, {**payload, self._shape.state: state}, key=key)

    def delete(self, key: str, *, expected: str | None = None) -> Row:
        """Leaves a tombstone. Raises: RecordMissingError, RecordStaleError."""
        return self._put(replace(self.live(key, expected=expected), fate="gone"))

    def merge(self, key: str, *, into: str) -> Row:
        """Makes a record live on as another one, which counts as changed."""
        survivor = self.live(into)
        self._put(survivor)
        return self._put(replace(self.live(key), fate="merged", survivor=into))

    def live(self, key: str, *, expected: str | None = None) -> Row:
        """Returns a record that is there and, where the stream locks, has the expected version."""
        row = self._tables.row(self._stream, key)
        if row is None or row.fate != "live":
            what = "was merged" if row and row.fate == "merged" else "is not there"
            message = f"{self._stream} {key} {what}; fetch it to learn what became of it"
            raise RecordMissingError(message, stream=self._stream, key=key)
        locks = self._shape.facts.lock == "native"
        if locks and expected is not None and expected != str(row.version):
            message = f"{self._stream} {key} changed since it was read; read it again"
            raise RecordStaleError(message, stream=self._stream, key=key)
        return row

    def _save(self, row: Row, payload: Payload, *, key: str | None) -> Row:
        whole = shown(payload, self._shape.ways)
        text = as_json(whole, stream=self._stream)
        check_values(self._shape, whole, stream=self._stream, key=key)
        self._check_unique(row, whole, key=key)
        return self._put(replace(row, payload=text))

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
        newer = replace(row, version=self._tables.next("version"), modified_at=self._now)
        try:
            self._tables.put(self._stream, newer)
        except sqlite3.IntegrityError as error:
            field = self._shape.facts.once or "once"
            taken = {field: "another record has this value"}
            raise rejected(self._stream, None, taken) from error
        return newer
