"""Small facts about records as they were seen: what tells them apart, which is newer, whom to ask.

Pure; reads and stores nothing.
"""

from __future__ import annotations

from hashlib import blake2b

import orjson

from connectors.kit.contract import Payload, Record
from hub.store.inbox import InboxEntry
from hub.store.links import Link


def digest(payload: Payload, fingerprint: str) -> bytes:
    """Returns what tells an unchanged record, under an unchanged mapping, from a changed one."""
    text = orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)
    return blake2b(text, digest_size=16, key=fingerprint.encode()[:64]).digest()


def newer(known: Record | None, found: Record) -> Record:
    """Returns the newer of two sightings; the later one when their system does not say."""
    if known is None or known.modified_at is None or found.modified_at is None:
        return found
    return known if known.modified_at > found.modified_at else found


def is_older(record: Record, link: Link) -> bool:
    """Returns True if a record is older news than what is known: by the one clock of its system."""
    return (
        record.modified_at is not None
        and link.modified_at is not None
        and record.modified_at < link.modified_at
    )


def of_one_time(record: Record, link: Link) -> bool:
    """Returns True if a record shows another state of the same time: either may be the newer one.

    Where times are whole seconds, two changes often carry the same.
    """
    same_time = record.modified_at is not None and record.modified_at == link.modified_at
    return same_time and record.version != link.version


def request_refetch(
    connection: str,
    stream: str,
    key: str,
    *,
    why: str = "parent",
    version: str | None = None,
    into: str | None = None,
) -> InboxEntry:
    """Returns the notification by which the hub asks itself to look at a record.

    Asked twice for one reason it looks once. `into`: the record that it was merged into.
    `version`: what made it ask. Somebody may just be looking for an older one, and end that after
    what he has seen has changed: then this is another question.
    """
    about = key if version is None else f"{key}@{version}"
    return InboxEntry(connection, stream, key, f"{why}:{stream}:{about}"[:120], into)
