"""Watches the emulators' write logs: which value arrived where, and after how long.

Looks at the systems only, never at the hub.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.memory import MemorySystem
from hub.model.policy import EntityPolicy
from hub.simulation.change_history import History, TypedValue
from hub.simulation.company_systems import Company, happened_at
from hub.simulation.emulators import Emulator
from mappings.canonical.values import Scalar
from mappings.kit.errors import LensError

#: Lines of a log that are read at a time.
_PORTION = 1000
#: Factor by which the buckets of the histogram grow.
_GROWTH = 1.1


@dataclass
class Latency:
    """Latencies in buckets: exact to a tenth, however many there are."""

    buckets: Counter[int] = field(default_factory=Counter)

    def add(self, seconds: float) -> None:
        """Counts one change."""
        self.buckets[math.ceil(math.log(max(seconds, 0.001), _GROWTH))] += 1

    def quantile(self, share: float) -> float | None:
        """Returns the time within which this share of changes arrived; None if none has.

        >>> latency = Latency()
        >>> for second in range(1, 101): latency.add(second)
        >>> 50 <= latency.quantile(0.5) <= 55
        True
        """
        left = share * self.buckets.total()
        for bucket in sorted(self.buckets):
            left -= self.buckets[bucket]
            if left <= 0:
                return round(_GROWTH**bucket, 3)
        return None

    def bars(self) -> list[tuple[float, int]]:
        """Returns (upper bound in seconds, number of changes), shortest first."""
        return [(_GROWTH**bucket, self.buckets[bucket]) for bucket in sorted(self.buckets)]


@dataclass(slots=True)
class _Transit:
    """A value that has not arrived everywhere."""

    line: int
    value: Scalar
    at: float
    #: Connections that do not show it yet.
    missing: set[str]


class ArrivalWatch:
    """Follows what the hub writes."""

    def __init__(
        self, company: Company, history: History, policies: Mapping[str, EntityPolicy]
    ) -> None:
        self._company, self._history, self._policies = company, history, policies
        self._in_transit: dict[str, dict[str, _Transit]] = {}
        self._seen: dict[str, int] = {}
        self.latency = Latency()
        #: connection -> number of writes by the hub
        self.writes: Counter[str] = Counter()

    @property
    def in_transit(self) -> int:
        """The number of subjects with a value that has not arrived."""
        return len(self._in_transit)

    def typed(self, line: int, one: TypedValue, at: float) -> None:
        """Starts following a typed value to every connection that may show it."""
        if one.number <= 0 or one.value is None:
            return
        entity = self._company.emulators[one.connection][one.stream].entity.name
        policy = self._policies.get(entity)
        in_transit_of = self._in_transit.get(one.subject, {})
        in_transit_of.pop(one.path, None)
        if policy is not None and not policy.of(one.path).may_set(one.connection):
            return
        missing = {
            name
            for name in self._company.systems
            if name != one.connection
            and (emulator := self._company.emulator(name, entity)) is not None
            and emulator.mapping.writable(one.path)
        }
        if missing:
            in_transit_of[one.path] = _Transit(line, one.value, at, missing)
            self._in_transit[one.subject] = in_transit_of

    def look(self) -> None:
        """Processes everything that was written since the last call."""
        for name, system in self._company.systems.items():
            while lines := system.tables.logged_after(self._seen.get(name, 0), limit=_PORTION):
                self._seen[name] = lines[-1][0]
                changed = dict.fromkeys((stream, key) for _, stream, key, _ in lines)
                self.writes[name] += sum(op != "unread" for *_, op in lines)
                for _, stream, key, op in lines:
                    if op == "unread":
                        self._history.gap((name, stream, key))
                for stream, key in changed:
                    self._arrived(name, system, stream, key=key)
                system.tables.forget_log(until=self._seen[name])

    def subject(self, name: str, stream: str, key: str) -> str | None:
        """Returns the subject of a record."""
        emulator, row = self._company.emulators[name].get(stream), None
        if emulator is not None:
            row = self._company.systems[name].row(stream, key)
        if emulator is None or row is None:
            return None
        try:
            return emulator.subject(emulator.read(json.loads(row.payload)))
        except LensError:
            return None

    def _arrived(self, name: str, system: MemorySystem, stream: str, *, key: str) -> None:
        emulator = self._company.emulators[name].get(stream)
        row = system.row(stream, key)
        if emulator is None or row is None or row.fate != "live":
            return
        try:
            values = emulator.read(json.loads(row.payload))
        except LensError:
            return  # the checker will find it quarantined
        subject = emulator.subject(values)
        if subject is None:
            return
        self._company.add_record(name, emulator.entity.name, subject, key)
        in_transit_of = self._in_transit.get(subject)
        if in_transit_of:
            self._check_off(in_transit_of, name, emulator, values, at=happened_at(system, row))
            if not in_transit_of:
                del self._in_transit[subject]

    def _check_off(
        self,
        in_transit_of: dict[str, _Transit],
        name: str,
        emulator: Emulator,
        values: Mapping[str, Scalar],
        *,
        at: float,
    ) -> None:
        for path, transit in list(in_transit_of.items()):
            if name not in transit.missing or path not in values:
                continue
            if values[path] == emulator.shows(path, transit.value):
                self.latency.add(max(at - transit.at, 0.0))
                transit.missing.discard(name)
                if not transit.missing:
                    self._history.reached(transit.line)
                    del in_transit_of[path]
