"""Checks whether all systems agree: compares every record with its golden record, in batches.

What a system shows is compared with what it would show if it were written now; the hub's own
baselines of how systems spell values are not trusted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from hub.model.policy import item_of
from hub.simulation.emulators import Emulator
from hub.simulation.findings import Finding
from hub.simulation.stage import Stage
from hub.store import audit, quarantine
from hub.store.conflicts import open_paths
from hub.store.golden import Golden, golden_by_entity, load_golden
from hub.store.links import Link, keys_of, links_by_golden, resolve_keys
from hub.store.reviews import open_reviews
from mappings.canonical.values import Scalar, Values
from mappings.kit.errors import LensError
from mappings.kit.mapping import declared_path

_PORTION = 500


@dataclass
class Waiting:
    """Records that wait for a person or a parent, which excuses a difference."""

    #: (connection, golden id)
    entries: dict[tuple[str, str], str] = field(default_factory=dict)
    #: (connection, stream, key)
    records: set[tuple[str, str, str]] = field(default_factory=set)
    #: Golden id -> connections that refuse it until a person acts.
    refused: dict[str, set[str]] = field(default_factory=dict)


def waiting(stage: Stage) -> Waiting:
    """Reads what is quarantined."""
    found = Waiting()
    with stage.store.read() as tx:
        for entry in quarantine.listing(tx, kinds=("push", "pull")):
            if entry.kind == "pull":
                found.records.add((entry.source, entry.stream, entry.key))
                continue
            found.entries[entry.source, entry.key] = f"{entry.state}: {entry.reason}"
            if entry.state == "held":
                found.refused.setdefault(entry.key, set()).add(entry.source)
        for review in open_reviews(tx):
            found.records.add((review.connection, review.stream, review.key))
            for golden_id in review.candidates:
                found.entries[review.connection, golden_id] = "under review"
    return found


def disagreements(stage: Stage, excuses: Waiting) -> Iterator[Finding]:
    """Yields a finding for each record that does not show what it should, or that the hub
    misjudges."""
    for connection, emulators in stage.company.emulators.items():
        for emulator in emulators.values():
            after = ""
            while True:
                with stage.store.read() as tx:
                    links = audit.living_links(
                        tx, connection, emulator.stream, after=after, limit=_PORTION
                    )
                if not links:
                    break
                after = max(links)
                yield from _Portion(stage, emulator, links, excuses).findings()


class _Portion:
    def __init__(
        self, stage: Stage, emulator: Emulator, links: Mapping[str, Link], excuses: Waiting
    ) -> None:
        self.stage, self.emulator, self.links, self.excuses = stage, emulator, links, excuses
        self.policy = stage.setup.policies[emulator.entity.name]
        self.payloads = self._read()
        ids = [str(link.golden_id) for link in links.values()]
        with stage.store.read() as tx:
            self.golden = load_golden(tx, ids)
            self.conflicts = open_paths(tx, [n.id for n in links.values() if n.id])
            self.keys = self._keys(tx)
            self.meant = self._meanings(tx)

    def _read(self) -> dict[str, dict[str, object]]:
        """Reads the live records of the system: key -> payload."""
        system = self.stage.company.systems[self.emulator.connection]
        found = {}
        for key in self.links:
            row = system.row(self.emulator.stream, key)
            if row is not None and row.fate == "live":
                found[key] = json.loads(row.payload)
        return found

    def _keys(self, tx: Connection) -> dict[str, str]:
        """Returns golden id -> key in this system, for everything that is referred to."""
        references = self.emulator.mapping.references
        targets = {
            str(value): references[declared]
            for golden in self.golden.values()
            for path, value in golden.values.items()
            if value is not None and (declared := declared_path(path)) in references
        }
        return keys_of(tx, self.emulator.connection, targets)

    def _meanings(self, tx: Connection) -> dict[tuple[str, str], str | None]:
        """Returns (stream, key) -> golden id for everything that the system's records refer to."""
        references, asked = self.emulator.mapping.references, set()
        for payload in self.payloads.values() if references else ():
            try:
                shows = self.emulator.read(payload)
            except LensError:
                continue  # reported below
            for path, value in shows.items():
                stream = references.get(declared_path(path))
                if stream is not None and value is not None:
                    asked.add((stream, str(value)))
        return resolve_keys(tx, self.emulator.connection, asked)

    def findings(self) -> Iterator[Finding]:
        """Yields the findings about these records."""
        where = f"{self.emulator.connection} {self.emulator.stream}"
        for key, link in sorted(self.links.items()):
            golden, payload = self.golden.get(str(link.golden_id)), self.payloads.get(key)
            if payload is None:
                yield Finding("P8", f"{where} {key} is gone, but not for the hub")
            elif golden is None:
                yield Finding("P1", f"{where} {key} has a link without a golden record")
            elif link.is_primary and not self._excused(link, golden):
                yield from self._compare(f"{where} {key}", payload, link=link, golden=golden)

    def _excused(self, link: Link, golden: Golden) -> bool:
        return (
            golden.merged_into is not None
            or golden.deleted_at is not None
            or (link.connection, golden.id) in self.excuses.entries
            or (link.connection, link.stream, link.key) in self.excuses.records
        )

    def _compare(
        self, where: str, payload: dict[str, object], *, link: Link, golden: Golden
    ) -> Iterator[Finding]:
        emulator = self.emulator
        try:
            shows = emulator.read(payload)
            wanted = self._wanted(link, golden, shows)
            after = emulator.rewritten(payload, emulator.mapping.write(wanted, payload))
        except LensError as error:
            yield Finding("P6", f"{where} cannot be translated: {error.path}")
            return
        if after == payload:
            return
        should = emulator.read(after)
        subject = emulator.subject(shows)
        for path in dict.fromkeys((*shows, *should)):
            if shows.get(path) != should.get(path):
                promise = "P12" if should.get(path) is None else "P3"
                what = f"{where} shows {path} = {shows.get(path)!r} where it should be"
                yield Finding(
                    promise, f"{what} {should.get(path)!r}", (subject,) if subject else ()
                )

    def _wanted(self, link: Link, golden: Golden, shows: Values) -> Values:
        """Returns all values that this record should show, with its system's keys."""
        conflicts = self.conflicts.get(link.id or 0, frozenset())
        units = {self.policy.unit_of(p) for p in conflicts} - {None}
        torn = tuple(item for p in conflicts if (item := item_of(p)))
        wanted: dict[str, Scalar] = {}
        for path in dict.fromkeys((*golden.values, *shows)):
            value = golden.values.get(path)
            if path in conflicts or self.policy.unit_of(path) in units or path.startswith(torn):
                continue
            if not self.emulator.mapping.writable(path):
                continue
            if value is None and self._keeps(path, golden):
                continue
            stream = self.emulator.mapping.references.get(declared_path(path))
            if stream is not None:
                if self._means(stream, shows.get(path), value):
                    continue
                if value is not None and str(value) not in self.keys:
                    continue
                value = None if value is None else self.keys[str(value)]
            wanted[path] = value
        return wanted

    def _means(self, stream: str, shown: Scalar, value: Scalar) -> bool:
        """Returns True if a key in this system, even of a merged or gone record, means this
        value."""
        key = (stream, str(shown))
        return shown is not None and key in self.meant and self.meant[key] == value

    def _keeps(self, path: str, golden: Golden) -> bool:
        own = self.policy.of(path)
        if own.when_blank != "keep":
            return False
        filled = own.unit is not None and any(
            v is not None and self.policy.unit_of(p) == own.unit for p, v in golden.values.items()
        )
        return not filled


def absent(stage: Stage, excuses: Waiting) -> Iterator[Finding]:
    """Yields a finding for each record that a connection should have, could have, and lacks."""
    for connection in stage.hub.connections.values():
        for entity, policy in stage.setup.policies.items():
            if connection.name not in policy.create or not connection.has(entity):
                continue
            after = ""
            while True:
                with stage.store.read() as tx:
                    portion = golden_by_entity(tx, entity, after=after, limit=_PORTION)
                    ids = [g.id for g in portion]
                    links = links_by_golden(tx, ids, connection=connection.name)
                if not portion:
                    break
                after = portion[-1].id
                for golden in portion:
                    channel = connection.channel_for(entity, golden.values)
                    if channel is None or not channel.facts.create or golden.id in links:
                        continue
                    if (connection.name, golden.id) in excuses.entries:
                        continue
                    if all(_filled(golden.values, path) for path in channel.mapping.requires):
                        title = channel.mapping.describe(golden.values)
                        yield Finding("P1", f"{entity} {title!r} is not in {connection.name}")


def _filled(values: Mapping[str, Scalar], path: str) -> bool:
    return values.get(path) is not None or any(
        p.startswith((f"{path}.", f"{path}[")) and v is not None for p, v in values.items()
    )
