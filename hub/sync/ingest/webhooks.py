"""Stores notifications durably. Contacts no system, and refuses what cannot be stored."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from connectors.kit.contract import Notification
from connectors.kit.errors import ContractError
from hub.store import inbox
from hub.store.connections import save_connection
from hub.store.engine import Store
from hub.store.inbox import InboxEntry
from hub.sync.context import Hub

#: Maximum lengths of texts in the inbox, in characters.
_LONGEST = {"stream": 80, "key": 200, "merged_into": 200}
_EVENT_ID = 120


def receive(hub: Hub, connection: str, notifications: Sequence[Notification]) -> None:
    """Stores the notifications of a webhook; once it returns, not even a power cut loses them.

    Raises: UnknownError, ContractError.
    """
    hub.connection(connection)
    note(
        hub.store,
        [entry_of(connection, notification) for notification in notifications],
        now=hub.clock(),
    )


def note(store: Store, entries: Sequence[InboxEntry], *, now: datetime) -> None:
    """Stores entries of `entry_of` in one durable transaction."""
    with store.begin(durable=True) as tx:
        inbox.receive(tx, entries, now=now)
        for connection in sorted({entry.connection for entry in entries}):
            save_connection(tx, connection, notified_at=now)


def entry_of(connection: str, notification: Notification) -> InboxEntry:
    """Returns the inbox entry for a notification. Raises: ContractError if it has none.

    >>> entry_of("crm", Notification("companies", "7", "e1")).key
    '7'
    """
    named = {
        "stream": notification.stream,
        "key": notification.key,
        "merged_into": notification.into,
    }
    for name, value in named.items():
        longest = _LONGEST[name]
        if value is not None and not _storable(value, longest):
            raise ContractError(
                f"a delivery to {connection} names a {name} that is no text of 1 to {longest}"
                " characters; check the configuration of the sender"
            )
    event_id = notification.event_id
    if not _storable(event_id, _EVENT_ID):
        # Only compared, never shown: any text will do, as long as equal ids stay equal.
        digest = hashlib.sha256(event_id.encode("utf-8", "surrogatepass")).hexdigest()
        event_id = f"sha256:{digest}"
    return InboxEntry(
        connection, notification.stream, notification.key, event_id, notification.into
    )


def _storable(text: object, longest: int) -> bool:
    """Returns True if both databases can store the text: no NUL, no lone surrogate."""
    return (
        isinstance(text, str)
        and 0 < len(text) <= longest
        and "\0" not in text
        and not any("\ud800" <= character <= "\udfff" for character in text)
    )
