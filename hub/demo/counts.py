"""What the demo counts: read from the hub's store and the two systems, never from the script."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hub.demo.systems import World
from hub.store import links as stored
from hub.store.golden import Golden, golden_by_entity
from hub.store.links import links_by_golden
from hub.sync.context import Hub


@dataclass
class Figures:
    """The outcome of the demo, as --json prints it."""

    #: Entity -> links: records over there that the hub knows, on both sides together.
    links: dict[str, int] = field(default_factory=dict)
    #: Sales orders in the ERP that deals of the CRM have become.
    orders: int = 0
    productions: int = 0
    #: Posted invoices that the CRM shows.
    invoices: int = 0
    #: Customers whom both sides had before, now one.
    matched_not_duplicated: int = 0
    conflicts: int = 0
    #: Fields that are not the same, and records that are missing, on any side.
    differences: int = 0
    writes_second_run: int = 0
    seconds: float = 0.0

    @property
    def well(self) -> bool:
        """Returns True if everything ended the same on both sides, and stays so."""
        return self.differences == 0 and self.writes_second_run == 0


def count_links(hub: Hub) -> dict[str, int]:
    """Returns entity -> number of living links."""
    found: dict[str, int] = {}
    with hub.store.read() as tx:
        for connection in hub.connections.values():
            for channel in connection.channels.values():
                count = stored.count_links(tx, connection.name, channel.stream)
                found[channel.entity.name] = found.get(channel.entity.name, 0) + count
    return {entity: count for entity, count in found.items() if count}


def pairs(hub: Hub, entity: str) -> dict[str, tuple[str, str]]:
    """Returns golden id -> key in the CRM and key in the ERP, for what is on both sides."""
    ids = [golden.id for golden in everyone(hub, entity)]
    with hub.store.read() as tx:
        links = links_by_golden(tx, ids)
    keys = {
        golden_id: {link.connection: link.key for link in found if link.gone_at is None}
        for golden_id, found in links.items()
    }
    return {
        golden_id: (found["crm"], found["erp"])
        for golden_id, found in keys.items()
        if found.keys() >= {"crm", "erp"}
    }


def everyone(hub: Hub, entity: str) -> list[Golden]:
    """Returns all living golden records of an entity."""
    found: list[Golden] = []
    with hub.store.read() as tx:
        while portion := golden_by_entity(tx, entity, after=found[-1].id if found else ""):
            found += portion
    return found


def matched(world: World, before: Iterable[tuple[str, str]]) -> int:
    """Returns how many of these (CRM key, ERP key) are one customer now."""
    return len(set(before) & set(pairs(world.hub, "company").values()))
