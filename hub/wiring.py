"""The composition root: settings in; a hub with an open store, connectors and mappings out.

The only place that knows how the pieces fit together; it names no system.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NoReturn, cast

from connectors.kit.budget import Budget
from connectors.kit.contract import Connector
from connectors.kit.ledger import Ledger
from connectors.kit.registry import Found, RegistryError, accepts, catalogue, open_connector
from hub.errors import SettingsError
from hub.model.policy import EntityPolicy
from hub.settings.connection_settings import ConnectionSettings
from hub.settings.loading import Settings
from hub.settings.policies import check_policies, resolve_policies
from hub.store.engine import Store, open_store
from hub.store.holders import worker_name
from hub.store.migrate import migrate
from hub.store.rate_limits import DatabaseLedger
from hub.sync.context import Channel, Connection, Hub
from mappings.canonical.entities import ENTITIES
from mappings.canonical.values import Entity
from mappings.kit.errors import MappingFileError
from mappings.kit.files import nearest
from mappings.kit.loader import load_all
from mappings.kit.mapping import Mapping as StreamMapping

#: Rate limit without a manifest's or settings' own: (calls, seconds).
_CAREFUL = (100, 10.0)

Mappings = Mapping[str, Sequence[StreamMapping]]


class _Offline:
    """Replaces a connector in a hub that calls no system."""

    def close(self) -> None:
        """Does nothing."""

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError(f"{name}: this hub was opened offline")


def open_hub(
    settings: Settings,
    *,
    worker: str | None = None,
    only: Sequence[str] | None = None,
    offline: bool = False,
) -> Hub:
    """Opens everything in the settings, or only the connections in `only`.

    `worker` must be unique per process. An `offline` hub loads no connector; it is for commands
    that only use the store.

    Raises: SettingsError, UnknownError, ConnectorError.
    """
    worker = worker or worker_name()
    names = tuple(settings.connections) if only is None else tuple(only)
    chosen = {name: settings.connection(name) for name in names}
    mappings, entities, policies = read_words(settings)
    with ExitStack() as opened:
        store = prepared_store(settings)
        opened.callback(store.close)
        connections = {}
        for name, one in chosen.items():
            connector = (
                cast(Connector, _Offline())
                if offline
                else open_connection(
                    settings, one, mappings[one.system], store=store, worker=worker
                )
            )
            opened.callback(connector.close)
            channels = channels_of(one, connector, mappings[one.system])
            connections[name] = Connection(name, one.system, one.role, connector, channels)
        opened.pop_all()
    return Hub(
        store=store,
        connections=connections,
        entities=entities,
        policies=policies,
        flows=settings.flows,
        limit=settings.limits.limit,
        reversals=settings.limits.reversals,
        worker=worker,
    )


def read_words(
    settings: Settings,
) -> tuple[Mappings, dict[str, Entity], Mapping[str, EntityPolicy]]:
    """Returns matching mappings, entities and policies. Raises: SettingsError."""
    mappings = load_mappings(settings)
    entities = entities_of(mappings)
    check_policies(
        settings.file,
        settings.policies,
        connections=settings.connections,
        entities=entities,
        custom=False,
    )
    policies = resolve_policies(settings.policies, settings.connections, entities)
    return mappings, entities, policies


def prepared_store(settings: Settings) -> Store:
    """Opens the store and brings its tables up to date. Raises: SettingsError."""
    store = open_store(settings.database)
    with ExitStack() as opened:
        opened.callback(store.close)
        migrate(store)
        opened.pop_all()
    return store


def load_mappings(settings: Settings) -> Mappings:
    """Returns the mappings of all systems in use, each for a stream that its connector has.

    Raises: SettingsError.
    """
    systems = dict.fromkeys(one.system for one in settings.connections.values())
    try:
        mappings = load_all(systems, settings.mapping_folders)
    except MappingFileError as error:
        raise SettingsError(str(error)) from error
    for system, found in mappings.items():
        streams = settings.manifests[system].streams
        for mapping in found:
            if mapping.stream not in streams:
                raise SettingsError(
                    f"{mapping.declared_at}: the connector of {system} has no stream"
                    f" {mapping.stream!r}{nearest(mapping.stream, streams)}"
                )
    return mappings


def entities_of(mappings: Mappings) -> dict[str, Entity]:
    """Returns all entities, parents before children, with the custom fields of the mappings."""
    extended = {m.entity.name: m.entity for found in mappings.values() for m in found}
    return {name: extended.get(name, entity) for name, entity in ENTITIES.items()}


def open_connection(
    settings: Settings,
    one: ConnectionSettings,
    mappings: Sequence[StreamMapping],
    *,
    store: Store,
    worker: str,
) -> Connector:
    """Opens the connector of one connection. Raises: SettingsError, ConnectorError."""
    folders = settings.connector_folders
    budget = budget_of(one, DatabaseLedger(store, one.name))
    store.before_close(budget.settle)
    try:
        if one.played_by is not None:
            system, given = one.played_by
            return open_connector(system, given, budget_of(one))
        found = catalogue(folders).found[one.system]
        extras = _extras(found, mappings)
        if accepts(found, "tokens"):
            # Imported late: only systems with tokens need it, and it brings an HTTP client.
            from hub.store.tokens import SealedTokens

            extras["tokens"] = SealedTokens(
                store, one.name, keys=settings.secret_keys, worker=worker
            )
        return open_connector(one.system, one.revealed(), budget, folders=folders, **extras)
    except RegistryError as error:
        raise SettingsError(f"connections.{one.name}: {error}") from error


def _extras(found: Found, mappings: Sequence[StreamMapping]) -> dict[str, Any]:
    """Returns what this connector takes besides settings: the fields that mappings need."""
    if not accepts(found, "fields"):
        return {}
    return {"fields": {mapping.stream: tuple(mapping.names) for mapping in mappings}}


def pace_of(one: ConnectionSettings) -> tuple[int, float]:
    """Returns the rate limit of a connection: (calls, seconds)."""
    limits, own = one.manifest.limits, one.budget
    if own.requests is not None:
        return own.requests, own.per_seconds
    return (limits.requests, limits.per_seconds) if limits else _CAREFUL


def budget_of(one: ConnectionSettings, ledger: Ledger | None = None) -> Budget:
    """Returns the rate budget of a connection: its own, or the system's documented limit."""
    limits, own = one.manifest.limits, one.budget
    requests, per_seconds = pace_of(one)
    return Budget(
        requests,
        per_seconds,
        lanes=limits.lanes if limits else None,
        ledger=ledger,
        bulk_share=own.bulk_share,
        daily=own.daily or (limits.daily if limits else None),
        fixed=own.requests is not None,
        fixed_daily=own.daily is not None,
    )


def channels_of(
    one: ConnectionSettings, connector: Connector, mappings: Sequence[StreamMapping]
) -> dict[str, Channel]:
    """Returns the mapped streams of a connection, parents before children."""
    order = list(ENTITIES)
    return {
        mapping.stream: Channel(
            one.name, mapping.stream, connector, mapping, one.manifest.streams[mapping.stream]
        )
        for mapping in sorted(mappings, key=lambda m: order.index(m.entity.name))
    }
