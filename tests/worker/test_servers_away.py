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


def in_sync(installation: Installation) -> None:
    """Web, scheduler and two workers, and everything has arrived."""
    installation.settle(20, known=8)
    for role in ("web", "scheduler", "worker", "worker"):
        installation.fork(role)
    installation.until(lambda: installation.quiet)
    installation.until(lambda: installation.ask("/readyz") == 200)


def busy(installation: Installation, seed: int, edits: int = 8) -> None:
    """Makes changes in both systems, each reported by a webhook that is accepted."""
    chance = random.Random(seed)
    for number in range(edits):
        installation.found(installation.crm, f"new{seed}n{number}")
        assert installation.call(*installation.edit(chance), event=f"e{seed}-{number}") == 202


def check_all(installation: Installation) -> None:
    """Asserts that all processes are still running, end in order, and have lost nothing."""
    installation.until(lambda: installation.quiet)
    assert [process.poll() for process in installation.started] == [None] * len(
        installation.started
    )
    installation.end()
    assert [process.poll() for process in installation.started] == [0] * len(installation.started)
    assert installation.mistakes() == []
    installation.settled()


def test_redis_may_be_flushed_and_killed(
    installations: Towns, postgresql_url: str, crashable_redis: CrashableRedis
) -> None:
    """Redis is flushed, killed and started again; nothing is lost."""
    installation = installations(database=postgresql_url, redis_url=crashable_redis.url)
    installation.crm.inject_faults(slow=0.2)
    in_sync(installation)
    for seed in range(2):
        busy(installation, seed)
        crashable_redis.flush()
    crashable_redis.kill()
    # Receivers need no Redis.
    busy(installation, 7)
    assert installation.ask("/readyz") == 200
    crashable_redis.start()
    check_all(installation)
    lines = installation.log().count("Redis does not answer") + installation.log().count(
        "could not connect"
    )
    assert lines < 40


def test_workers_end_in_order_while_redis_is_away(
    installations: Towns, postgresql_url: str, crashable_redis: CrashableRedis
) -> None:
    installation = installations(database=postgresql_url, redis_url=crashable_redis.url)
    in_sync(installation)
    crashable_redis.kill()
    try:
        installation.end()
        assert {process.poll() for process in installation.started} == {0}
        assert installation.mistakes() == []
    finally:
        crashable_redis.start()


def test_workers_started_early_wait_for_redis(
    installations: Towns, postgresql_url: str, crashable_redis: CrashableRedis
) -> None:
    installation = installations(database=postgresql_url, redis_url=crashable_redis.url)
    installation.settle(3, known=1)
    crashable_redis.kill()
    try:
        for role in ("scheduler", "worker"):
            installation.fork(role)
        installation.until(lambda: installation.log().count("Redis does not answer") >= 2)
    finally:
        crashable_redis.start()
    check_all(installation)


@pytest.mark.parametrize("over_redis", [True, False])
def test_postgresql_is_killed_and_started_again(
    installations: Towns, crashable_postgres: CrashablePostgres, over_redis: bool, request: Any
) -> None:
    redis_url = request.getfixturevalue("redis_url") if over_redis else None
    installation = installations(database=crashable_postgres.url, redis_url=redis_url)
    installation.settle(20, known=8)
    for role in ("web", "worker", "worker", *(["scheduler"] if over_redis else [])):
        installation.fork(role)
    installation.until(lambda: installation.quiet)
    installation.erp.inject_faults(slow=0.5)  # so that it happens in the middle of a batch
    numbers = count()
    for _ in range(2):
        busy(installation, next(numbers), edits=3)
        crashable_postgres.kill()
        assert installation.ask("/healthz") == 200
        assert installation.ask("/readyz") == 503
        refused = [
            installation.call("crm", "companies", "1", event=f"r{next(numbers)}") for _ in range(3)
        ]
        assert refused == [503, 503, 503]
        assert installation.ask("/metrics") == 503
        crashable_postgres.start()
        installation.until(lambda: installation.ask("/readyz") == 200)
    installation.erp.inject_faults()
    check_all(installation)
    # While the database is away it logs one line per attempt, not fifty.
    assert len(installation.log().splitlines()) < 200
