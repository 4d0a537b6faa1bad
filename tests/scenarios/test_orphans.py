"""Records created while their entity was deleted: nothing is left behind."""

from __future__ import annotations

import pytest

from connectors.kit.errors import UnavailableError
from hub.sync.ingest.pull import pull
from hub.sync.push.push import push

PROPAGATE = {"company": {"delete": "propagate"}}


@pytest.mark.parametrize("lag", [0, 3600])
@pytest.mark.parametrize("fault", ["lost", "before"])
def test_a_create_in_doubt_may_be_deleted(world, fault, lag):
    """A record is deleted before the hub knows whether it was created."""
    world.restart(policies=PROPAGATE)
    company = world.crm.create("companies", name="Acme", domain="acme.example")
    pull(world.hub, "crm", "companies")
    pull(world.hub, "erp", "parties")
    world.erp.inject_faults(script=(fault,), lag=lag)
    with pytest.raises(UnavailableError):
        push(world.hub, "erp")
    world.crm.delete("companies", company)
    world.quiet()
    world.erp.inject_faults()
    world.clock.later(hours=2)
    world.quiet()
    assert not world.erp.records("parties")
    assert not world.crm.records("companies")
    world.agree()
