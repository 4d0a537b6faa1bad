"""A simulation with real processes over a real Redis: killed at random, and nothing is left."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from hub.simulation.faults import chosen
from hub.simulation.in_process import command_of
from hub.simulation.perform import SimulationSpec
from hub.simulation.shipped import settings_for
from hub.simulation.stage import Setup
from hub.sync.due import Work
from worker import queues
from worker.rehearse_command import options_of
from worker.remote import enqueue
from worker.simulation import rehearse


def test_processes_keep_promises_and_redis_clean(tmp_path: Path, redis_url: str) -> None:
    """Real processes keep every promise and leave Redis as it was."""
    client: Any = redis.Redis.from_url(redis_url)
    client.set("somebody else's", "1")
    settings, _ = settings_for(None, tmp_path)
    faults = "all,down:0.02,lost:0.02,kill"
    order = SimulationSpec(Setup.of(settings), 1, 150, chosen(faults), faults)
    certificate = rehearse(order, workers=2, database=None, redis_url=redis_url)
    assert certificate.broken == {}
    assert certificate.changes >= 150
    everywhere = {"skew", "ties", "lag", "shortened", "rounded"}
    assert everywhere <= set(certificate.struck) <= set(certificate.faults)
    assert certificate.struck["kill"] > 0
    assert "stale" not in certificate.faults
    assert certificate.workers == 2
    assert client.keys("*") == [b"somebody else's"]
    client.close()


def test_the_repeat_command_has_no_password(tmp_path: Path) -> None:
    """The command that repeats a simulation names the servers without their passwords."""
    settings, _ = settings_for(None, tmp_path)
    options = options_of(
        workers=4,
        database="postgresql://me:s3cr3t@db:5432/x?sslpassword=s3cr3t&sslmode=require",
        redis_url="redis://:s3@cr3t@cache:6379/1",
    )
    command = command_of(SimulationSpec(Setup.of(settings), 7, 10, {}, "none", options=options))
    assert "cr3t" not in command
    assert shlex.split(command)[2:] == [
        *("--seed", "7", "--changes", "10", "--faults", "none", "--workers", "4"),
        *("--database", "postgresql://me:PASSWORD@db:5432/x?sslpassword=PASSWORD&sslmode=require"),
        *("--redis-url", "redis://:PASSWORD@cache:6379/1"),
    ]


def test_rows_written_after_a_flush_are_removed(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a worker writes about a job after a flush is removed as well."""
    client: Any = redis.Redis.from_url(redis_url)
    monkeypatch.setitem(queues._names, "prefix", "tulay-rehearsal-1")
    work = Work("pull", "crm", "companies")
    assert enqueue([work], client) == 1
    (job,) = queues.queue(
        next(lane for lane in queues.LANES if lane.name == queues.lane_of(work)), client
    ).jobs
    client.flushdb()
    client.hset("rq:job:theirs", "origin", "default")
    job.heartbeat(datetime.now(UTC), 60)
    assert len(client.keys("*")) == 2
    queues.sweep_up(client, "tulay-rehearsal-1")
    assert client.keys("*") == [b"rq:job:theirs"]
    client.close()
