"""The hub is killed between every two effects, one after the other; a new one finishes the work.

An effect is a commit of ours or a write to a system. Killed means: nothing of that process runs any
longer, not even its clean-up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection

from hub.flows.settings import FlowSettings
from hub.store.engine import Store
from hub.sync.flows import derive
from hub.sync.ingest.inbox import process_inbox
from hub.sync.ingest.pull import pull
from hub.sync.push.push import push

#: More effects than one job has.
ENOUGH = 200


class KilledError(BaseException):
    """The process is dead."""


class Fuse:
    """Lets this many effects happen, and none after that."""

    def __init__(self, effects: int) -> None:
        self.left = effects
        self.burnt = False

    def spark(self) -> None:
        self.burnt = self.burnt or self.left == 0
        self.left -= 1
        if self.burnt:
            raise KilledError


class FragileStore(Store):
    """A store that dies just before a commit."""

    def __init__(self, store: Store, fuse: Fuse) -> None:
        super().__init__(store.engine)
        self.fuse = fuse

    @contextmanager
    def begin(self, *, durable: bool = False) -> Iterator[Connection]:
        if self.fuse.burnt:
            raise KilledError
        with super().begin(durable=durable) as tx:
            yield tx
            self.fuse.spark()


class FragileLine:
    """A connector that dies just before a write, or just after it."""

    def __init__(self, connector, fuse):
        self.connector, self.fuse = connector, fuse

    def __getattr__(self, name):
        return getattr(self.connector, name)

    def write(self, stream, writes):
        self.fuse.spark()
        outcomes = self.connector.write(stream, writes)
        self.fuse.spark()
        return outcomes


def killed_after(world, effects, work):
    """Works in a process that is killed after this many effects; returns True if it was."""
    fuse, store = Fuse(effects), world.store
    world.restart(store=FragileStore(store, fuse), wrap=lambda one: FragileLine(one, fuse))
    try:
        work()
    except KilledError:
        pass
    finally:
        # Lets the leases of the dead process expire.
        world.clock.later(minutes=15)
        world.restart(store=store, wrap=lambda one: one)
    return fuse.burnt


def created(system, stream):
    return [w.key for w in system.writes if (w.stream, w.op) == (stream, "create")]


def test_killed_anywhere_in_reading_and_writing(world):
    _, party = world.customer()

    def work():
        for connection, stream in (("crm", "companies"), ("erp", "parties")):
            pull(world.hub, connection, stream)
            process_inbox(world.hub, connection)
        push(world.hub, "crm")
        push(world.hub, "erp")

    for n in range(ENOUGH):
        world.crm.create("companies", name=f"New {n}", domain=f"new{n}.example")
        world.erp.edit("parties", party, branch=f"Branch {n}")
        alive = not killed_after(world, n, work)
        world.quiet()
        (known,) = [c for c in world.crm.records("companies").values() if c["name"] == "Acme"]
        assert known["industry"] == f"Branch {n}"
        assert len(world.erp.records("parties")) == len(world.crm.records("companies")) == n + 2
        assert sorted(created(world.erp, "parties")) == sorted(world.erp.records("parties"))
        assert created(world.crm, "companies") == []
        if alive:
            break
    assert 12 < n < ENOUGH - 1
    world.agree()


@pytest.mark.simulation
def test_crashes_while_a_deal_becomes_an_order(world, open_a_shop):
    """A kill at any step between a won deal and its confirmed order loses nothing."""
    shop = open_a_shop(world)
    streams = {"companies", "parties", "products", "articles", "deals", "sales"}
    world.restart(streams=streams, flows=FlowSettings(figures=False, thank_you=False))

    def work():
        pull(world.hub, "crm", "deals")
        derive(world.hub)
        push(world.hub, "erp")

    for n in range(ENOUGH):
        shop["deal"](title=f"Deal {n}", stage="won")
        alive = not killed_after(world, n, work)
        work()
        sales = world.erp.records("sales")
        assert {s["state"] for s in sales.values()} == {"confirmed"}
        assert sorted(s["description"] for s in sales.values()) == sorted(
            f"Deal {i}" for i in range(n + 1)
        )
        assert len(created(world.erp, "sales")) == n + 1
        if alive:
            break
    assert 10 < n < ENOUGH - 1
    world.agree()


@pytest.mark.simulation
def test_crashes_in_a_deletion_and_a_merge(world):
    world.restart(policies={"company": {"delete": "propagate"}})

    def work():
        pull(world.hub, "crm", "companies")
        push(world.hub, "erp")

    for n in range(ENOUGH):
        keys = [
            world.crm.create("companies", name=f"{name} {n}", domain=f"{name}{n}.example")
            for name in ("gone", "from", "into")
        ]
        world.quiet()
        parties = len(world.erp.records("parties"))
        world.crm.delete("companies", keys[0])
        world.crm.merge("companies", keys[1], into=keys[2])
        alive = not killed_after(world, n, work)
        world.quiet()
        assert len(world.erp.records("parties")) == parties - 1
        assert len(world.crm.records("companies")) == n + 1
        if alive:
            break
    assert 4 < n < ENOUGH - 1
    world.agree()
