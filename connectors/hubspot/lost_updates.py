"""Values that an update replaced unread: found in the property history, after the write.

HubSpot has no If-Match. A value typed between our last look and our write is gone from the record,
but not from its history; the writer should know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from connectors.hubspot.batches import texts
from connectors.hubspot.client import HubSpotClient, Json
from connectors.hubspot.records import parse_time
from connectors.hubspot.results import objects_of, portions
from connectors.kit.contract import Payload, Update

#: Maximum number of records of one read with history (reference of the batch read).
HISTORY_BATCH = 50


def overwritten(
    client: HubSpotClient, stream: str, updates: Sequence[Update]
) -> dict[str, Payload]:
    """Returns key -> values that these updates have just replaced unread."""
    asked = {one.key: one for one in updates if _since(one) and one.payload.get("properties")}
    found: dict[str, Payload] = {}
    for some in portions(list(asked), HISTORY_BATCH):
        names = {name: None for key in some for name in asked[key].payload["properties"]}
        body = client.batch_read(stream, some, properties=(), history=tuple(names))
        for thing in objects_of(body, stream):
            values = _replaced(thing, asked.get(thing["id"]))
            if values:
                found[thing["id"]] = {"properties": values}
    return found


def _since(update: Update) -> datetime | None:
    return parse_time((update.if_version or "").partition("#")[0])


def _replaced(thing: Json, update: Update | None) -> dict[str, str]:
    since = None if update is None else _since(update)
    if update is None or since is None:
        return {}
    history = thing.get("propertiesWithHistory") or {}
    found = {}
    for name, ours in texts(update.payload["properties"]).items():
        value = replaced(history.get(name) or (), ours=ours, since=since)
        if value is not None:
            found[name] = value
    return found


def replaced(entries: Sequence[Mapping[str, Any]], *, ours: str, since: datetime) -> str | None:
    """Returns the value that ours replaced, when it was typed after `since`; else None.

    >>> from datetime import UTC
    >>> entries = [
    ...     {"value": "Ours", "timestamp": "2026-01-01T00:00:02Z"},
    ...     {"value": "Typed", "timestamp": "2026-01-01T00:00:01Z"},
    ...     {"value": "Known", "timestamp": "2025-12-31T00:00:00Z"},
    ... ]
    >>> replaced(entries, ours="Ours", since=datetime(2026, 1, 1, tzinfo=UTC))
    'Typed'
    >>> replaced(entries[2:], ours="Ours", since=datetime(2026, 1, 1, tzinfo=UTC)) is None
    True
    """
    dated = [(at, str(e.get("value") or "")) for e in entries if (at := _time_of(e)) is not None]
    newest_first = sorted(dated, key=lambda entry: entry[0], reverse=True)
    # An entry newer than ours was typed after the write: the record shows it.
    written = next((n for n, (_, value) in enumerate(newest_first) if value == ours), 0)
    for at, value in newest_first[written + 1 :]:
        if at <= since:
            return None
        if value != ours:
            return value
    return None


def _time_of(entry: Mapping[str, Any]) -> datetime | None:
    text = entry.get("timestamp")
    return parse_time(text) if isinstance(text, str) else None
