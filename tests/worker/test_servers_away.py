"""Redis and PostgreSQL are killed under the running processes, and start again."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from tests.worker.installation import Installation
from tests.worker.servers import CrashablePostgres, CrashableRedis

Towns = Callable[..., Installation]


def in_sync(town: Installation) -> None:
    """Web, scheduler and two workers, and everything has arrived."""
    town.settle(20, known=8)
    for role in ("web", "scheduler", "worker", "worker"):
        town.fork(role)
    town.until(lambda: town.quiet)
    town.until(lambda: town.ask("/readyz") == 200)


def busy(town: Installation, seed: int, edits: int = 8) -> None:
    """Makes changes in both systems, each reported by a webhook that is accepted."""
    chance = random.Random(seed)
    for number in range(edits):
        town.found(town.crm, f"new{seed}n{number}")
        assert town.call(*town.edit(chance), event=f"e{seed}-{number}") == 202


def judged(town: Installation) -> None:
    """Asserts that all processes are still running, end in order, and have lost nothing."""
    town.until(lambda: town.quiet)
    assert [process.poll() for process in town.started] == [None] * len(town.started)
    town.end()
    assert [process.poll() for process in town.started] == [0] * len(town.started)
    assert town.mistakes() == []
    town.settled()


def test_redis_may_be_flushed_and_killed(
    towns: Towns, postgresql_url: str, crashable_redis: CrashableRedis
) -> None:
    """Redis is flushed, killed and started again; nothing is lost."""
    town = towns(database=postgresql_url, redis_url=crashable_redis.url)
    town.crm.inject_faults(slow=0.2)
    in_sync(town)
    for seed in range(2):
        busy(town, seed)
        crashable_redis.flush()
    crashable_redis.kill()
    # Receivers need no Redis.
    busy(town, 7)
    assert town.ask("/readyz") == 200
    crashable_redis.start()
    judged(town)
    lines = town.log().count("Redis does not answer") + town.log().count("could not connect")
    assert lines < 40


def test_workers_end_in_order_while_redis_is_away(
    towns: Towns, postgresql_url: str, crashable_redis: CrashableRedis
) -> None:
    town = towns(database=postgresql_url, redis_url=crashable_redis.url)
    in_sync(town)
    crashable_redis.kill()
    try:
        town.end()
        assert {process.poll() for process in town.started} == {0}
        assert town.mistakes() == []
    finally:
        crashable_redis.start()


def test_workers_started_early_wait_for_redis(
    towns: Towns, postgresql_url: str, crashable_redis: CrashableRedis
) -> None:
    town = towns(database=postgresql_url, redis_url=crashable_redis.url)
    town.settle(3, known=1)
    crashable_redis.kill()
    try:
        for role in ("scheduler", "worker"):
            town.fork(role)
        town.until(lambda: town.log().count("Redis does not answer") >= 2)
    finally:
        crashable_redis.start()
    judged(town)


@pytest.mark.parametrize("over_redis", [True, False])
def test_postgresql_is_killed_and_started_again(
    towns: Towns, crashable_postgres: CrashablePostgres, over_redis: bool, request: Any
) -> None:
    redis_url = request.getfixturevalue("redis_url") if over_redis else None
    town = towns(database=crashable_postgres.url, redis_url=redis_url)
    town.settle(20, known=8)
    for role in ("web", "worker", "worker", *(["scheduler"] if over_redis else [])):
        town.fork(role)
    town.until(lambda: town.quiet)
    town.erp.inject_faults(slow=0.5)  # so that it happens in the middle of a batch
    numbers = count()
    for _ in range(2):
        busy(town, next(numbers), edits=3)
        crashable_postgres.kill()
        assert town.ask("/healthz") == 200
        assert town.ask("/readyz") == 503
        refused = [town.call("crm", "companies", "1", event=f"r{next(numbers)}") for _ in range(3)]
        assert refused == [503, 503, 503]
        assert town.ask("/metrics") == 503
        crashable_postgres.start()
        town.until(lambda: town.ask("/readyz") == 200)
    town.erp.inject_faults()
    judged(town)
    # While the database is away it logs one line per attempt, not fifty.
    assert len(town.log().splitlines()) < 200
