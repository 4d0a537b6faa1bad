"""Two simulated systems without faults, for step-by-step scenarios."""

from __future__ import annotations

from datetime import timedelta

from connectors.kit.manifest import StreamFacts
from hub.model.policy import EntityPolicy
from hub.store.engine import Store
from tests.scenarios.landscape import Landscape, SystemSpec
from tests.scenarios.simulation import World
from tests.scenarios.verdict import kept

FACTS = StreamFacts(
    title="x", create=True, update=True, delete=True, lock="native", once="once", deletions="pages"
)
ASK = EntityPolicy({}, create=frozenset({"crm", "erp"}))


def two_sides(store: Store) -> World:
    """Returns a CRM and an ERP that writes names in capitals; every conflict waits for a person."""
    specs = (
        SystemSpec("crm", {}, FACTS, offset=0.0, page=100, lag=0.0),
        SystemSpec("erp", {"name": "upper"}, FACTS, offset=-7200.0, page=100, lag=0.0),
    )
    return World(Landscape(specs, {"company": ASK, "contact": ASK}), store.engine, kept=kept)


def later(world: World, **by: float) -> None:
    """Lets half a minute pass, or as long as given."""
    world.now += timedelta(**(by or {"seconds": 30}))
