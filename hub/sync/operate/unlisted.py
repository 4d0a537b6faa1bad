"""The value that a mapping does not list, for the person who looks at an entry of the quarantine.

It is read again from where it is and returned to be shown; no entry, log or document holds it.
"""

from __future__ import annotations

from collections.abc import Iterable

from connectors.kit.contract import Record
from hub.model.causes import Cause
from hub.store.golden import Golden, load_golden
from hub.sync.context import Channel, Hub
from hub.sync.operate.entries import Entry
from mappings.kit.errors import LensError


def unlisted_value(hub: Hub, one: Entry) -> object:
    """Returns the value that keeps an entry in quarantine; None if it is not that, or gone.

    Asks the system for a record that could not be read. Raises: ConnectorError.
    """
    connection = hub.connections.get(one.where)
    if connection is None:
        return None
    channel = connection.channels.get(one.stream or "")
    if one.cause == Cause.UNREADABLE and channel is not None and one.key:
        return _unreadable(channel, channel.connector.fetch(channel.stream, [one.key]).records)
    if one.cause == Cause.UNTRANSLATABLE and one.golden_id:
        with hub.store.read() as tx:
            golden = load_golden(tx, [one.golden_id]).get(one.golden_id)
        target = golden and connection.channel_for(golden.entity, golden.values)
        return _unwritable(target, golden) if golden and target else None
    return None


def _unreadable(channel: Channel, found: Iterable[Record]) -> object:
    for record in found:
        try:
            channel.mapping.read(record.payload)
        except LensError as error:
            return error.value
    return None


def _unwritable(channel: Channel, golden: Golden) -> object:
    for path, value in golden.values.items():
        declared = channel.entity.field(path)
        if declared is None or declared.kind == "reference" or not channel.mapping.mapped(path):
            continue
        try:
            channel.mapping.write({path: value}, None)
        except LensError as error:
            if error.value is not None:
                return error.value
    return None
