"""A rehearsal with real processes over a real Redis: killed at random, and nothing is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis

from hub.rehearsal.perform import Order
from hub.rehearsal.shipped import settings_for
from hub.rehearsal.stage import Plot
from hub.rehearsal.vices import chosen
from worker.rehearsing import rehearse


def test_real_processes_keep_every_promise_and_leave_redis_as_it_was(
    tmp_path: Path, redis_url: str
) -> None:
    client: Any = redis.Redis.from_url(redis_url)
    client.set("somebody else's", "1")
    settings, _ = settings_for(None, tmp_path)
    order = Order(Plot.of(settings), 1, 60, chosen("lost,kill"), "lost,kill")
    certificate = rehearse(order, workers=2, database=None, redis_url=redis_url)
    assert certificate.broken == {}
    assert certificate.changes >= 60
    assert certificate.workers == 2
    assert client.keys("*") == [b"somebody else's"]
    client.close()
