"""The memory system: our own CRM or ERP, which does what real ones do, on request.

This is the remote system: its data, clock, versions, tombstones, merges and faults. Tests act
here as its users; the hub only uses `MemoryConnector`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from connectors.kit.contract import Payload, Request
from connectors.kit.errors import ContractError, RecordMissingError, RecordRejectedError
from connectors.kit.faults import Chances, chosen, journeys, luck
from connectors.kit.manifest import Manifest, StreamFacts, read_manifest
from connectors.memory.faults import faults_from
from connectors.memory.shapes import Faults, StreamShape
from connectors.memory.tables import Row, Tables
from connectors.memory.webhooks import Event, posted
from connectors.memory.writing import RowWriter

Clock = Callable[[], datetime]
Hook = Callable[[str], None]

_MANIFEST = Path(__file__).with_name("manifest.yaml")
_ORDER_ACTS = {
    "quote": {"draft": "quoted"},
    "confirm": {"quoted": "confirmed"},
    "process": {"confirmed": "processing"},
    "complete": {"processing": "done"},
    "cancel": {"draft": "cancelled", "quoted": "cancelled"},
}


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


def default_shape(stream: str, facts: StreamFacts | None = None) -> StreamShape:
    """Returns the default shape of a stream: it can do everything."""
    facts = facts or StreamFacts(
        title=stream,
        create=True,
        update=True,
        delete=True,
        lock="native",
        once="once",
        deletions="pages",
    )
    acts = {name: way for name, way in _ORDER_ACTS.items() if name in facts.actions}
    return StreamShape(facts=facts, acts=acts)


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
        streams: Mapping[str, StreamShape | StreamFacts] | Iterable[str] | None = None,
        path: str | Path | None = None,
        clock: Clock = utc_now,
        password: str = "",
    ) -> None:
        self.name = name
        #: Replace it to move time; it must return aware datetimes.
        self.clock = clock
        self.hooks = Hooks()
        #: The password of the system; "" accepts every client.
        self.password = password
        #: Calls of any kind that have reached the system through this object.
        self.calls = 0
        self.tables = Tables(str(path) if path else ":memory:")
        self._vices: tuple[str | None, Faults] = (None, Faults())
        self._declare(streams)

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

    def _declare(
        self, streams: Mapping[str, StreamShape | StreamFacts] | Iterable[str] | None
    ) -> None:
        if streams is None:
            streams = {} if self.streams() else read_manifest(_MANIFEST).streams
        named = streams if isinstance(streams, Mapping) else dict.fromkeys(streams)
        for stream, given in named.items():
            shape = given if isinstance(given, StreamShape) else default_shape(stream, given)
            self.declare(stream, shape)

    # -- what it is like -------------------------------------------------------------------------

    def streams(self) -> dict[str, StreamShape]:
        """Returns every stream with its shape."""
        notes = self.tables.notes("shape ")
        return {name: _shape(text) for name, text in notes.items()}

    def shape(self, stream: str) -> StreamShape:
        """Returns the shape of a stream. Raises: ContractError when there is none."""
        text = self.tables.note(f"shape {stream}")
        if text is None:
            known = ", ".join(self.streams())
            raise ContractError(f"{self.name} has no stream {stream!r}; it has {known}")
        return _shape(text)

    def declare(self, stream: str, shape: StreamShape | None = None, **changes: Any) -> StreamShape:
        """Adds a stream or changes its shape (`declare("companies", ways={...})`)."""
        if shape is None:
            known = self.tables.note(f"shape {stream}") is not None
            shape = self.shape(stream) if known else default_shape(stream)
        whole = StreamShape.model_validate({**dict(shape), **changes})
        self.tables.remember(f"shape {stream}", whole.model_dump_json())
        return whole

    @property
    def faults(self) -> Faults:
        """The system's current faults, in every process."""
        text = self.tables.note("vices")
        if text != self._vices[0]:
            self._vices = (text, Faults.model_validate_json(text) if text else Faults())
        return self._vices[1]

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self.tables.remember("vices", faults.model_dump_json())

    def inject_faults(self, faults: str | Chances = "none", /, **more: Any) -> None:
        """Sets these faults and switches all others off; `inject_faults()` switches all off.

        `faults` are those of `connectors.kit.faults`, as `"lost:0.2,lag"`; `seed` is among `more`:
        `more` are the fields of `Faults`. A wrong clock stays wrong: one that is corrected
        jumps. Raises: FaultError.
        """
        found = faults_from(chosen(faults), seed=int(more.get("seed", 0)))
        with self.tables.transaction():
            self._bring_back()
            self.faults = Faults(**{"skew": self.faults.skew, **found, **more})

    def roll(self, *about: object) -> float:
        """Returns the next number from 0 up to 1 of a sequence that all processes share."""
        return luck(self.faults.seed, *about, self.tables.next("roll"))

    def strikes(self, fault: str) -> bool:
        """Returns True if a fault strikes now."""
        chance = self.faults.chances.get(fault, 0.0)
        strikes = chance > 0 and self.roll(fault) < chance
        if strikes:
            self.has_happened(fault)
        return strikes

    def has_happened(self, fault: str) -> None:
        """Counts that a fault has struck, for all processes together."""
        self.tables.next(f"struck {fault}")

    def struck(self) -> dict[str, int]:
        """Returns fault -> how often it has struck; a clock that is wrong counts once."""
        found = {name: int(n) for name, n in self.tables.notes("next struck ").items() if n != "0"}
        return found | ({"skew": 1} if self.faults.skew else {})

    def vanished(self) -> list[tuple[str, str]]:
        """Returns stream and key of every record that the fault `vanishing` has deleted once."""
        found = [name.partition(" ") for name in self.tables.notes("vanished ")]
        return [(stream, key) for stream, _, key in found]

    def forget_happened(self) -> None:
        """Resets the count of how often faults struck."""
        for name in self.tables.notes("next struck "):
            self.tables.remember(f"next struck {name}", "0")

    def hide(self, stream: str, share: float) -> None:
        """Hides a share of a stream's records, as if a permission was revoked; 0: none."""
        hidden = {**self.faults.hidden, stream: share}
        self.faults = self.faults.model_copy(
            update={"hidden": {name: part for name, part in hidden.items() if part}}
        )

    def hides(self, stream: str, key: str) -> bool:
        """Returns True if a record is invisible now."""
        share = self.faults.hidden.get(stream, 0.0)
        return share > 0 and luck(self.faults.seed, "hidden", stream, key) < share

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
            return (
                self.pen(stream)
                .create({**(payload or {}), **fields}, external_id=external_id, key=key)
                .key
            )

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

    # -- what happens while pages are read -------------------------------------------------------

    def turn_page(self, stream: str, *, last: bool) -> None:
        """Applies what happens between two pages of a read, and after the last one."""
        chances = self.faults.chances
        if not last:
            for hook in self.hooks.between_pages:
                hook(stream)
        if not {"moving", "vanishing"} & {*chances}:
            return
        with self.tables.transaction():
            self._bring_back()
            if last:
                return
            if self.strikes("moving") and (row := self._anyone(stream)):
                self.pen(stream).touch(row.key)
            if self.strikes("vanishing") and (row := self._anyone(stream)):
                self.pen(stream).delete(row.key)
                self.tables.remember(f"away {stream}", row.key)
                self.tables.remember(f"vanished {stream} {row.key}", "yes")

    def _bring_back(self) -> None:
        for stream, key in self.tables.notes("away ").items():
            if key:
                self.tables.remember(f"away {stream}", "")
                # another record has taken its unique value, or a user was faster
                with suppress(RecordRejectedError, RecordMissingError):
                    self.pen(stream).restore(key)

    def _anyone(self, stream: str) -> Row | None:
        where = "WHERE stream = ? AND fate = 'live'"
        count = self.tables.count(where, stream)
        place = int(self.roll("who") * count)
        found = self.tables.rows(f"{where} ORDER BY number LIMIT 1 OFFSET ?", stream, place)
        return found[0] if found else None

    # -- webhooks --------------------------------------------------------------------------------

    def subscribe(self) -> None:
        """From now on every change is recorded for `deliveries`."""
        self.tables.remember("subscribed", "yes")

    def deliveries(
        self, *, secret: str, url: str = "memory://hook", size: int = 100
    ) -> Iterator[Request]:
        """Returns what is due, as signed deliveries of up to `size` events.

        What faults delay becomes due by the system's clock.
        """
        while found := self.tables.told(self.now(), size):
            yield posted([Event(*one) for one in found], secret=secret, at=self.clock(), url=url)

    def _tell(self, stream: str) -> Callable[[Row], None]:
        def tell(row: Row) -> None:
            number, now = self.tables.next("event"), self.moment()
            for wait in journeys(self.faults.chances, self.roll, self.has_happened):
                due_at = as_text(now + timedelta(seconds=wait))
                self.tables.tell(number, row, stream=stream, due_at=due_at)

        return tell

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

    def moment(self) -> datetime:
        """Returns the system's time."""
        return self.clock() + timedelta(seconds=self.faults.skew)

    def now(self) -> str:
        """Returns that time as text that sorts."""
        return as_text(self.moment())

    def count_call(self) -> None:
        """Counts a call of any kind."""
        self.calls += 1
        self.tables.next("call")

    def pen(self, stream: str) -> RowWriter:
        """Returns the writer of a stream's rows."""
        faults, at = self.faults, self.moment()
        if faults.ties:
            at = datetime.fromtimestamp(at.timestamp() // faults.ties * faults.ties, UTC)
        return RowWriter(
            self.tables,
            stream=stream,
            shape=self.shape(stream),
            now=as_text(at),
            faults=faults,
            tell=self._tell(stream) if self.tables.note("subscribed") else None,
        )

    def newest(self, stream: str) -> int:
        """Returns the number of the newest record of a stream, in any state."""
        return int(self.tables.note(f"next number {stream}") or 0)

    def row(self, stream: str, key: str) -> Row | None:
        """Returns a row in any state."""
        return self.tables.row(stream, key)


@lru_cache(maxsize=512)
def _shape(text: str) -> StreamShape:
    """Returns the shape that a note holds; read often, hardly ever changed."""
    return StreamShape.model_validate_json(text)


def as_text(at: datetime) -> str:
    """Formats a time so that texts sort by time.

    >>> as_text(datetime(2026, 11, 23, tzinfo=UTC))
    '2026-11-23T00:00:00.000000+00:00'
    """
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def manifest_of(system: MemorySystem) -> Manifest:
    """Returns the manifest with the streams that this system has, for tests of the hub."""
    facts = {name: shape.facts for name, shape in system.streams().items()}
    return read_manifest(_MANIFEST).model_copy(update={"streams": facts})
