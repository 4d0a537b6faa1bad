"""What every use case works with: the store, the open connections, the policies, clock and ids.

Assembled by hub.wiring; decides and writes nothing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connectors.kit.contract import Connector
from connectors.kit.manifest import StreamFacts
from hub.errors import UnknownError
from hub.flows.settings import FlowSettings
from hub.model.change_limits import ChangeLimit
from hub.model.policy import EntityPolicy
from hub.store.engine import Store
from mappings.canonical.values import Entity, Scalar
from mappings.kit.mapping import Mapping as StreamMapping


@dataclass(frozen=True, eq=False)
class Channel:
    """One stream of one connection, with the mapping that translates it."""

    connection: str
    stream: str
    connector: Connector = field(repr=False)
    mapping: StreamMapping = field(repr=False)
    facts: StreamFacts

    @property
    def entity(self) -> Entity:
        """The entity this stream is translated to."""
        return self.mapping.entity

    @property
    def has_actions(self) -> bool:
        """True if the states of its documents change by transitions."""
        return self.entity.states is not None and bool(self.mapping.actions)


@dataclass(frozen=True, eq=False)
class Connection:
    """One configured account of a system, open for use."""

    name: str
    system: str
    #: crm | erp | both
    role: str
    connector: Connector = field(repr=False)
    #: stream -> channel, parents before children.
    channels: Mapping[str, Channel]

    def channel(self, stream: str) -> Channel:
        """Returns a channel. Raises: UnknownError."""
        try:
            return self.channels[stream]
        except KeyError as error:
            known = ", ".join(self.channels)
            raise UnknownError(
                f"{self.name} has no mapped stream {stream!r}; it has: {known}"
            ) from error

    def channel_for(self, entity: str, values: Mapping[str, Scalar]) -> Channel | None:
        """Returns the channel to which a golden record with these values belongs."""
        for channel in self.channels.values():
            constants = channel.mapping.constants
            if channel.entity.name == entity and all(
                values.get(path) == value for path, value in constants.items()
            ):
                return channel
        return None

    def has(self, entity: str) -> bool:
        """Returns True if any stream carries the entity."""
        return any(channel.entity.name == entity for channel in self.channels.values())


@dataclass
class Hub:
    """Everything a use case needs."""

    store: Store
    connections: Mapping[str, Connection]
    #: All entities, parents before children, custom fields included.
    entities: Mapping[str, Entity]
    policies: Mapping[str, EntityPolicy]
    flows: FlowSettings
    limit: ChangeLimit = field(default_factory=ChangeLimit)
    #: A field that reverses more often than this within an hour is paused; 0: never.
    reversals: int = 10
    #: The owner of leases, unique per process.
    worker: str = "worker"
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    #: Sleeps for a number of seconds of that clock.
    sleep: Callable[[float], None] = time.sleep
    #: 32 hex digits, see `fresh_id`.
    fresh_id: Callable[[], str] = lambda: fresh_id()

    def connection(self, name: str) -> Connection:
        """Returns a connection. Raises: UnknownError."""
        try:
            return self.connections[name]
        except KeyError as error:
            known = ", ".join(self.connections)
            raise UnknownError(
                f"there is no connection {name!r} in tulay.yaml; there are: {known}"
            ) from error

    def policy(self, entity: str) -> EntityPolicy:
        """Returns the policy of an entity."""
        return self.policies.get(entity) or EntityPolicy()

    def close(self) -> None:
        """Closes all connectors and the database."""
        for connection in self.connections.values():
            connection.connector.close()
        self.store.close()


def fresh_id() -> str:
    """Returns a new id of 32 hex digits, later ones after earlier ones: indexes grow at their end.

    It need not be secret, and `random` reseeds itself in forked children.
    """
    return f"{time.time_ns() // 1_000_000:012x}{random.getrandbits(80):020x}"
