"""The memory system: our own CRM or ERP, which does what real ones do, on request.

This is the remote system: its data, clock, versions, tombstones, merges and faults. Tests act
here as its users; the hub only uses `MemoryConnector`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from connectors.kit.contract import Payload
from connectors.kit.faults import Chances, chosen
from connectors.kit.manifest import Manifest, read_manifest
from connectors.memory.event_queue import EventQueue
from connectors.memory.fault_state import FaultState
from connectors.memory.faults import faults_from
from connectors.memory.page_faults import PageFaults
from connectors.memory.pens import Pens
from connectors.memory.shape_store import ShapeStore, Streams
from connectors.memory.shapes import Faults, StreamShape
from connectors.memory.storage_tables import Row, Tables, as_text
from connectors.memory.writing import RowWriter

Clock = Callable[[], datetime]
Hook = Callable[[str], None]

_MANIFEST = Path(__file__).with_name("manifest.yaml")


@dataclass(frozen=True, slots=True)
class Written:
    """One line of the log of what the hub wrote."""

    stream: str
    key: str
    #: create | update | delete | act:NAME; unread: before an update over a value not read yet
    op: str


@dataclass(slots=True)
class Hooks:
    """Functions of a test, called with the stream's name at certain points."""

    #: Between two pages of a read.
    between_pages: list[Hook] = field(default_factory=list)
    #: After a write has arrived, before it is executed.
    before_write: list[Hook] = field(default_factory=list)
    #: After a write was executed, before it is answered.
    after_write: list[Hook] = field(default_factory=list)


def utc_now() -> datetime:
    """Returns the time of the machine's clock, aware UTC."""
    return datetime.now(UTC)


class MemorySystem:
    """One system with its data; `path` names a file that other processes may share.

    `streams` says which there are: names, or names with their facts or whole shapes. Without it
    they are those of manifest.yaml, or those the file already has.
    """

    #: The systems of this process that settings can name.
    shared: ClassVar[dict[str, MemorySystem]] = {}

    def __init__(
        self,
        name: str = "memory",
        *,
        streams: Streams | None = None,
        path: str | Path | None = None,
        clock: Clock = utc_now,
        password: str = "",
    ) -> None:
        self.name = name
        self.hooks = Hooks()
        #: The password of the system; "" accepts every client.
        self.password = password
        #: Calls of any kind that have reached the system through this object.
        self.calls = 0
        self.tables = Tables(str(path) if path else ":memory:")
        self._shapes = ShapeStore(self.tables, name)
        self.fault_state = FaultState(self.tables, clock)
        self.events = EventQueue(self.tables, self.fault_state)
        self._pens = Pens(self.tables, self._shapes, self.fault_state, events=self.events)
        self.page_faults = PageFaults(self.tables, self.fault_state, self._pens.of)
        if streams is None:
            streams = {} if self.streams() else read_manifest(_MANIFEST).streams
        self._shapes.declare_all(streams)

    @classmethod
    def fresh(cls, name: str, **options: Any) -> MemorySystem:
        """Makes an empty system that settings can name, in place of one with the same name."""
        cls.shared[name] = cls(name, **options)
        return cls.shared[name]

    @classmethod
    def named(cls, name: str, *, path: str | None = None) -> MemorySystem:
        """Returns the system with this name (and file) in this process; makes it when new."""
        place = f"{name} in {path}" if path else name
        if place not in cls.shared:
            cls.shared[place] = cls(name, path=path)
        return cls.shared[place]

    # -- what it is like -------------------------------------------------------------------------

    def streams(self) -> dict[str, StreamShape]:
        """Returns every stream with its shape."""
        return self._shapes.all()

    def shape(self, stream: str) -> StreamShape:
        """Returns the shape of a stream. Raises: ContractError when there is none."""
        return self._shapes.of(stream)

    def declare(self, stream: str, shape: StreamShape | None = None, **changes: Any) -> StreamShape:
        """Adds a stream or changes its shape (`declare("companies", ways={...})`)."""
        return self._shapes.declare(stream, shape, **changes)

    @property
    def clock(self) -> Clock:
        """The true time; replace it to move time. It must return aware datetimes."""
        return self.fault_state.clock

    @clock.setter
    def clock(self, clock: Clock) -> None:
        self.fault_state.clock = clock

    @property
    def faults(self) -> Faults:
        """The system's current faults, in every process."""
        return self.fault_state.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self.fault_state.faults = faults

    def inject_faults(self, faults: str | Chances = "none", /, **more: Any) -> None:
        """Sets these faults and switches all others off; `inject_faults()` switches all off.

        `faults` are those of `connectors.kit.faults`, as `"lost:0.2,lag"`; `seed` is among `more`:
        `more` are the fields of `Faults`. A wrong clock stays wrong: one that is corrected
        jumps. Raises: FaultError.
        """
        found = faults_from(chosen(faults), seed=int(more.get("seed", 0)))
        with self.tables.transaction():
            self.page_faults.bring_back()
            self.faults = Faults(**{"skew": self.faults.skew, **found, **more})

    def expire_cursors(self) -> None:
        """Expires every cursor issued so far: using one raises CursorExpiredError."""
        self.tables.next("epoch")

    @property
    def epoch(self) -> str:
        """Changes whenever cursors expire."""
        return self.tables.note("next epoch") or "0"

    # -- what users of the system do -------------------------------------------------------------

    def create(
        self,
        stream: str,
        payload: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        external_id: str | None = None,
        **fields: Any,
    ) -> str:
        """Adds a record, not logged as a write of the hub; returns its key."""
        with self.tables.transaction():
            whole = {**(payload or {}), **fields}
            return self.pen(stream).create(whole, external_id=external_id, key=key).key

    def edit(
        self, stream: str, key: str, patch: Mapping[str, Any] | None = None, **fields: Any
    ) -> None:
        """Changes fields of a record; `patch` for nested ones."""
        with self.tables.transaction():
            self.pen(stream).change(key, {**(patch or {}), **fields})

    def delete(self, stream: str, key: str) -> None:
        """Deletes a record."""
        with self.tables.transaction():
            self.pen(stream).delete(key)

    def merge(self, stream: str, key: str, *, into: str) -> str:
        """Merges the record `key` into another one, which keeps its own values.

        Returns the survivor's key: with the fault `merged` it is a new one.
        """
        with self.tables.transaction():
            return self.pen(stream).merge(key, into=into).key

    def restore(self, stream: str, key: str) -> None:
        """Restores a deleted record."""
        with self.tables.transaction():
            self.pen(stream).restore(key)

    def turn_page(self, stream: str, *, last: bool) -> None:
        """Applies what happens between two pages of a read, and after the last one."""
        if not last:
            for hook in self.hooks.between_pages:
                hook(stream)
        self.page_faults.turn_page(stream, last=last)

    # -- what a test looks at --------------------------------------------------------------------

    def get(self, stream: str, key: str) -> Payload:
        """Returns a live record's payload. Raises: RecordMissingError."""
        found: Payload = json.loads(self.pen(stream).live(key).payload)
        return found

    def records(self, stream: str) -> dict[str, Payload]:
        """Returns all live records: key -> payload, oldest first."""
        rows = self.tables.rows("WHERE stream = ? AND fate = 'live' ORDER BY number", stream)
        return {row.key: json.loads(row.payload) for row in rows}

    @property
    def writes(self) -> list[Written]:
        """Returns what the hub has written since the start or `forget_writes`, oldest first."""
        return [Written(*line) for line in self.tables.logged()]

    def forget_writes(self) -> None:
        """Empties the log of writes."""
        self.tables.forget_log()

    def calls_of_all(self) -> int:
        """Returns how many calls have reached the system from all processes that share its file."""
        return int(self.tables.note("next call") or 0)

    def forget_calls(self) -> None:
        """Resets the count of calls."""
        self.calls = 0
        self.tables.remember("next call", "0")

    # -- what the client uses --------------------------------------------------------------------

    def now(self) -> str:
        """Returns the time by the system's own clock, as text that sorts."""
        return as_text(self.fault_state.moment())

    def count_call(self) -> None:
        """Counts a call of any kind."""
        self.calls += 1
        self.tables.next("call")

    def pen(self, stream: str) -> RowWriter:
        """Returns the writer of a stream's rows."""
        return self._pens.of(stream)

    def row(self, stream: str, key: str) -> Row | None:
        """Returns a row in any state."""
        return self.tables.row(stream, key)


def manifest_of(system: MemorySystem) -> Manifest:
    """Returns the manifest with the streams that this system has, for tests of the hub."""
    facts = {name: shape.facts for name, shape in system.streams().items()}
    return read_manifest(_MANIFEST).model_copy(update={"streams": facts})
