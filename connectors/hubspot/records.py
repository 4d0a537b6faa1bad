"""Turns HubSpot's objects into records, with their associations and lines. Reads, never writes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import orjson

from connectors.hubspot.association_reader import AssociationReader
from connectors.hubspot.client import HubSpotClient, Json
from connectors.hubspot.results import next_after, objects_of, portions, refuse_other_errors
from connectors.hubspot.vocabulary import (
    BATCH,
    LINE_PROPERTIES,
    LINES,
    MERGED,
    ONCE,
    StreamNames,
)
from connectors.kit.contract import Merge, Page, Payload, Record
from connectors.kit.errors import RecordError, RecordMissingError

_PROPERTY = re.compile(r"properties\.(\w+)")
_LINE_PROPERTY = re.compile(r"line_items(?:\[[^\]]*\])?\.properties\.(\w+)")
#: Longest list of properties, in characters, that goes into an address; longer ones answer 414.
LONGEST_QUERY = 6000


def wanted_properties(names: StreamNames, fields: Iterable[str]) -> tuple[str, ...]:
    """Returns the properties to request: ours, the connector's and those of a mapping's names.

    >>> from connectors.hubspot.vocabulary import STREAMS
    >>> wanted_properties(STREAMS["notes"], ["properties.hs_pinned", "associations.deals[0]"])[-2:]
    ('hs_lastmodifieddate', 'hs_pinned')
    """
    found = (_PROPERTY.fullmatch(field) for field in fields)
    wanted = [*names.properties, ONCE, names.modified, *(one.group(1) for one in found if one)]
    if names.merges:
        wanted.append(MERGED)
    return tuple(dict.fromkeys(wanted))


def wanted_line_properties(fields: Iterable[str]) -> tuple[str, ...]:
    """Returns the properties to request of a deal's lines.

    >>> wanted_line_properties(["line_items[].properties.margin"])[-1]
    'margin'
    """
    found = (_LINE_PROPERTY.fullmatch(field) for field in fields)
    return tuple(dict.fromkeys((*LINE_PROPERTIES, *(one.group(1) for one in found if one))))


def parse_time(text: str | None) -> datetime | None:
    """Reads a time as HubSpot writes it: ISO 8601, or milliseconds since 1970.

    >>> parse_time("2026-09-08T12:00:00.250Z"), parse_time("1000"), parse_time("soon")
    (datetime.datetime(2026, 9, 8, 12, 0, 0, 250000, tzinfo=datetime.timezone.utc),
     datetime.datetime(1970, 1, 1, 0, 0, 1, tzinfo=datetime.timezone.utc), None)
    """
    if not text:
        return None
    try:
        if text.isdecimal():
            return datetime.fromtimestamp(int(text) / 1000, tz=UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def modified_text(thing: Json, names: StreamNames) -> str | None:
    """Returns when an object was modified, as text: the property, else the envelope's time."""
    text = thing["properties"].get(names.modified) or thing.get("updatedAt")
    return text if isinstance(text, str) else None


def same_version(version: str, modified: str | None) -> bool:
    """Returns True if a version was taken at this modification.

    >>> same_version("2026-01-01T00:00:00Z#a1b2", "2026-01-01T00:00:00Z")
    True
    """
    return version.partition("#")[0] == (modified or "")


class RecordReader:
    """Reads the records of one stream in the shape that the mappings expect."""

    def __init__(self, client: HubSpotClient, names: StreamNames, fields: Sequence[str]) -> None:
        self._client = client
        self.names = names
        self.properties = wanted_properties(names, fields)
        #: Value of `associations=` where an endpoint accepts it.
        self.inline = (*names.associations, LINES) if names.lines else names.associations
        self.associations = AssociationReader(
            client, names.name, self.inline, line_properties=wanted_line_properties(fields)
        )

    # -- whole pages

    def listed(self, after: str | None) -> tuple[Page, str | None]:
        """Reads one page of all records, and the `after` of the next one."""
        if len(",".join(self.properties)) > LONGEST_QUERY:
            return self._listed_long(after)
        body = self._client.list_page(
            self.names.name,
            after=after,
            properties=self.properties,
            associations=self.inline,
        )
        return self.page(objects_of(body, self.names.name), inline=True), next_after(body)

    def _listed_long(self, after: str | None) -> tuple[Page, str | None]:
        # quirk(hubspot): too many properties in an address answer 414, so they go into a body.
        body = self._client.list_page(self.names.name, after=after)
        found = self.read([thing["id"] for thing in objects_of(body, self.names.name)])
        return self.page(list(found.values())), next_after(body)

    def page(self, things: Sequence[Json], *, inline: bool = False) -> Page:
        """Builds a page of objects; `inline`: they include their associations."""
        return Page(
            records=self.records(things, inline=inline),
            merges=[merge for thing in things for merge in merges_of(thing)],
        )

    def records(self, things: Sequence[Json], *, inline: bool = False) -> list[Record]:
        """Builds records of objects, reading missing associations and lines."""
        if not self.inline:
            return [self._record(thing, None, None) for thing in things]
        if inline:
            linked = self.associations.included(things)
        else:
            linked = self.associations.read([thing["id"] for thing in things])
        lines = self.associations.lines(linked) if self.names.lines else {}
        records = []
        for thing in things:
            mine = linked[thing["id"]]
            associations = {to: mine.get(to, []) for to in self.names.associations}
            records.append(self._record(thing, associations, lines.get(thing["id"], [])))
        return records

    def _record(
        self,
        thing: Json,
        associations: dict[str, list[str]] | None,
        lines: list[Json] | None,
    ) -> Record:
        properties = thing["properties"]
        payload: Payload = {"id": thing["id"], "properties": properties}
        if associations is not None:
            payload["associations"] = associations
        if self.names.lines:
            payload[LINES] = lines or []
        version = modified_text(thing, self.names)
        modified_at = parse_time(version)
        if version is not None and associations is not None:
            version = f"{version}#{_digest(payload)}"
        return Record(
            key=thing["id"],
            payload=payload,
            version=version,
            modified_at=modified_at,
            external_id=properties.get(ONCE) or None,
        )

    # -- truth about some keys

    def read(
        self, ids: Sequence[str], *, id_property: str | None = None, slim: bool = False
    ) -> dict[str, Json]:
        """Returns the objects that HubSpot has, by their own id; `slim`: only when modified."""
        found: dict[str, Json] = {}
        for some in portions(list(dict.fromkeys(ids)), BATCH):
            body = self._client.batch_read(
                self.names.name,
                some,
                properties=(self.names.modified,) if slim else self.properties,
                id_property=id_property,
            )
            refuse_other_errors(body, self.names.name)
            found.update((one["id"], one) for one in objects_of(body, self.names.name))
        return found

    def fetch(self, keys: Sequence[str]) -> Page:
        """Reads the current state of some keys: each ends up in records, gone or merges."""
        found = self.read(keys)
        into = {merge.key: merge.into for thing in found.values() for merge in merges_of(thing)}
        gone = []
        for key in dict.fromkeys(keys):
            if key in found or key in into:
                continue
            survivor = self._survivor(key)
            if survivor is None:
                gone.append(key)
                continue
            found[survivor["id"]] = survivor
            if survivor["id"] != key:
                into[key] = survivor["id"]
        alive = [thing for key, thing in found.items() if not thing.get("archived")]
        gone += [key for key, thing in found.items() if thing.get("archived")]
        return Page(
            records=self.records(alive),
            gone=gone,
            merges=[Merge(key, survivor) for key, survivor in into.items() if key not in found],
        )

    def find(self, external_ids: Sequence[str]) -> dict[str, Json]:
        """Returns the objects that carry these hub ids; none where the property does not exist."""
        try:
            found = self.read(external_ids, id_property=ONCE)
        except RecordError:
            # HubSpot refuses a lookup by a property that does not exist.
            if self._client.has_property(self.names.name, ONCE):
                raise
            return {}
        return {thing["properties"].get(ONCE) or "": thing for thing in found.values()}

    def _survivor(self, key: str) -> Json | None:
        # quirk(hubspot): a batch read may leave out merged records, while a GET by the old id
        # answers the survivor, whose id is another one (changelog "Deals now support merging").
        if not self.names.merges:
            return None
        try:
            thing = self._client.get(self.names.name, key, properties=self.properties)
        except RecordMissingError:
            return None
        return objects_of({"results": [thing]}, self.names.name)[0]


def merges_of(thing: Json) -> list[Merge]:
    """Returns which records were merged into this one, from its list of former ids.

    >>> merges_of({"id": "3", "properties": {"hs_merged_object_ids": "1;2"}})
    [Merge(key='1', into='3'), Merge(key='2', into='3')]
    """
    former = thing["properties"].get(MERGED)
    if not former:
        return []
    own = thing["id"]
    ids = (one.strip() for one in str(former).split(";"))
    return [Merge(key=one, into=own) for one in ids if one and one != own]


def _digest(payload: Payload) -> str:
    # quirk(hubspot): associations and lines do not reliably touch the record's modified date, so
    # the version says what they are, the first one apart because it is the primary one.
    associations = {
        to: [*ids[:1], *sorted(ids[1:])] for to, ids in sorted(payload["associations"].items())
    }
    content = orjson.dumps([associations, payload.get(LINES)], option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(content, digest_size=6).hexdigest()
