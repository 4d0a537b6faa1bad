"""Small facts about observed records: their digest, which one is newer, how to request a refetch.

Pure: reads and stores nothing.
"""

from __future__ import annotations

from hashlib import blake2b

import orjson

from connectors.kit.contract import Payload, Record
from hub.store.inbox import InboxEntry
from hub.store.links import Link


def digest(payload: Payload, fingerprint: str) -> bytes:
    """Returns a digest that differs if the record or the mapping has changed."""
    text = orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)
    return blake2b(text, digest_size=16, key=fingerprint.encode()[:64]).digest()


def newer(known: Record | None, found: Record) -> Record:
    """Returns the newer of two observations; the second if their system gives no times."""
    if known is None or known.modified_at is None or found.modified_at is None:
        return found
    return known if known.modified_at > found.modified_at else found


def is_older(record: Record, link: Link) -> bool:
    """Returns True if a record is older than what is known, by its system's clock."""
    return (
        record.modified_at is not None
        and link.modified_at is not None
        and record.modified_at < link.modified_at
    )


def of_one_time(record: Record, link: Link) -> bool:
    """Returns True if a record has the known time, but another version: either may be newer.

    Where times are whole seconds, two changes often have the same one.
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
    """Returns the notification by which the hub asks itself to fetch a record.

    Two requests for the same reason become one. `into`: the record it was merged into. `version`:
    the version that caused the request; it makes the request distinct from an earlier one, which
    another process may be finishing with an older state.
    """
    about = key if version is None else f"{key}@{version}"
    return InboxEntry(connection, stream, key, f"{why}:{stream}:{about}"[:120], into)
