"""The whole product, killed with -9 at random from its first second on: nothing is lost or
duplicated.

A seed names a schedule of kills. TULAY_LONG=1 runs many seeds with many kills each.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.worker.fork_client import Process, children
from tests.worker.installation import Installation

LONG = os.environ.get("TULAY_LONG") == "1"
SEEDS = range(1, 21) if LONG else range(1, 2)
KILLS, COMPANIES = (12, 300) if LONG else (2, 60)

Towns = Callable[..., Installation]


class Served:
    """The processes of `tulay serve`: the parent restarts the children, we restart the parent."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        #: The commands themselves take some seconds each to start: in long runs only.
        self.start = installation.run if LONG else installation.fork
        self.parent = self.start("serve")

    def pids(self) -> list[int]:
        """Returns the processes that can be killed."""
        return [self.parent.pid, *children(self.parent.pid).values()]

    def killed(self) -> None:
        """Ensures that whatever was killed runs again."""
        if self.parent.poll() is not None:
            self.parent = self.start("serve")


class Apart:
    """Web, scheduler and three workers, each restarted by the test."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.start = installation.run if LONG else installation.fork
        roles = ("web", "scheduler", "worker", "worker", "worker")
        self.running: list[tuple[str, Process]] = [(role, self.start(role)) for role in roles]

    def pids(self) -> list[int]:
        """Returns the processes that can be killed."""
        return [process.pid for _, process in self.running]

    def killed(self) -> None:
        """Ensures that whatever was killed runs again."""
        self.running = [
            (role, process if process.poll() is None else self.start(role))
            for role, process in self.running
        ]


def life_goes_on(
    installation: Installation, chance: random.Random, undelivered: list[tuple[Any, str]]
) -> None:
    """Users edit and create companies; deliveries that were not accepted are repeated."""
    if chance.random() < 0.3:
        installation.found(
            chance.choice((installation.crm, installation.erp)),
            f"new{installation.said}x{chance.random()}",
        )
    undelivered.append((installation.edit(chance), f"e{installation.said}"))
    undelivered[:] = [
        (where, event)
        for where, event in undelivered
        if installation.call(*where, event=event) != 202
    ]


def killed_at_random(installation: Installation, product: Served | Apart, seed: int) -> None:
    """A first sync that is killed half-way, then a day with kills, then the check."""
    chance, undelivered = random.Random(seed), list[tuple[Any, str]]()
    before = len(installation.erp.records("companies"))
    installation.until(lambda: len(installation.erp.records("companies")) > before)
    for pid in product.pids():
        os.kill(pid, 9)
    for _ in range(KILLS):
        for _ in moments(installation, chance):
            life_goes_on(installation, chance, undelivered)
        product.killed()
        pid = chance.choice(product.pids())
        os.kill(pid, 9)
        installation.until(lambda pid=pid: gone(installation, pid))
    product.killed()

    def delivered() -> bool:
        undelivered[:] = [
            (where, event)
            for where, event in undelivered
            if installation.call(*where, event=event) != 202
        ]
        return not undelivered

    installation.until(delivered, 120)
    installation.systems["erp"].inject_faults()
    installation.until(lambda: installation.quiet, 120)
    installation.end()
    assert installation.mistakes() == []
    installation.settled()


def moments(installation: Installation, chance: random.Random) -> Iterator[int]:
    """Some moments, until the next kill."""
    for number in range(chance.randrange(2, 12)):
        yield number
        installation.wait(chance.random() * 0.2)


def gone(installation: Installation, pid: int) -> bool:
    """Returns True if a process has ended, whatever its parent."""
    if any(process.pid == pid for process in installation.started):
        return all(p.poll() is not None for p in installation.started if p.pid == pid)
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def populated(installation: Installation) -> Installation:
    installation.settle(COMPANIES, known=COMPANIES // 5)
    installation.erp.inject_faults(slow=0.1)
    return installation


@pytest.mark.parametrize("seed", SEEDS)
def test_serve_on_sqlite(installation: Installation, seed: int) -> None:
    populated(installation)
    killed_at_random(installation, Served(installation), seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_serve_on_postgresql_and_redis(
    installations: Towns, servers: dict[str, str], seed: int
) -> None:
    installation = populated(installations(**servers))
    killed_at_random(installation, Served(installation), seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_apart_on_postgresql_and_redis(
    installations: Towns, servers: dict[str, str], seed: int
) -> None:
    installation = populated(installations(**servers))
    killed_at_random(installation, Apart(installation), seed)
