"""Creates the fields that the hub writes: the external id, and what mappings add."""

from __future__ import annotations

from hashlib import blake2b

from connectors.kit.contract import FieldNeed
from connectors.kit.errors import ContractError
from hub.flows.registry import fills
from hub.store.connections import connection_states, save_connection
from hub.sync.context import Channel, Connection, Hub


def needs(hub: Hub, connection: Connection) -> list[FieldNeed]:
    """Returns the fields that the mappings declare, and those that carry external ids.

    A field that neither another connection nor a flow can fill is left out.
    """
    found: dict[tuple[str, str], FieldNeed] = {}
    for channel in connection.channels.values():
        for custom in channel.mapping.custom_fields:
            if _can_be_filled(hub, channel, custom.path):
                need = FieldNeed(
                    *(channel.stream, custom.name, custom.type, custom.label),
                    options=custom.options,
                )
                found[(channel.stream, custom.name)] = need
        once = channel.facts.once
        if once is not None and channel.facts.create:
            need = FieldNeed(channel.stream, once, "text", "Tulay id", external_id=True)
            found[(channel.stream, once)] = need
    return list(found.values())


def _can_be_filled(hub: Hub, channel: Channel, path: str) -> bool:
    entity = channel.entity.name
    others = (one for name, one in hub.connections.items() if name != channel.connection)
    return fills(hub.flows, entity, path) or any(
        other.entity.name == entity and other.mapping.mapped(path)
        for one in others
        for other in one.channels.values()
    )


def prepare_once(hub: Hub, connection: Connection) -> None:
    """Creates missing fields before the first write, and again when the mappings declare more.

    Raises: CredentialsError if the rights do not suffice; ContractError if a field is impossible.
    """
    wanted = needs(hub, connection)
    mark = blake2b(repr(wanted).encode(), digest_size=16).hexdigest()
    with hub.store.read() as tx:
        state = connection_states(tx).get(connection.name)
    if not wanted or (state is not None and state.prepared == mark):
        return
    for finding in connection.connector.prepare(wanted):
        if finding.level == "error":
            raise ContractError(f"{finding.what}; {finding.todo}")
    with hub.store.begin() as tx:
        save_connection(tx, connection.name, prepared=mark)
