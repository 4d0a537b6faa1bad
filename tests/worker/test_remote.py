"""Over a real Valkey: it only transports names, may be flushed, and cannot choose what runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any

import pytest
from rq import Queue
from rq.serializers import JSONSerializer

from hub.store import leases
from hub.sync.context import Hub
from hub.sync.due import BySchedule, Work, agenda
from worker import remote
from worker.jobs import run
from worker.queues import LANES, connect, queue, tell
from worker.remote import enqueue, work
from worker.signals import Stop


@pytest.fixture
def shop(shops: Callable[..., Any], redis_url: str) -> Any:
    made = shops(redis_url=redis_url)
    made.write(pull="1h")
    return made


@pytest.fixture
def hub(shop: Any) -> Iterator[Hub]:
    opened = shop.hub()
    yield opened
    opened.close()


@pytest.fixture
def redis(redis_url: str) -> Iterator[Any]:
    opened = connect(redis_url)
    yield opened
    opened.close()


def queued(redis: Any) -> int:
    return sum(len(queue(lane, redis)) for lane in LANES)


def all_queued(shop: Any, hub: Hub) -> None:
    """Works until nothing is queued."""
    with Stop() as stop:
        work(hub, shop.redis_url, stop, burst=True)


def rounds(shop: Any, hub: Hub, redis: Any, *, most: int = 10) -> None:
    """Schedules and works until nothing is due."""
    for _ in range(most):
        works = agenda(hub, BySchedule(shop.settings().schedules), hub.clock()).ready
        if not works:
            return
        enqueue(works, redis)
        all_queued(shop, hub)
    raise AssertionError(f"still due: {works}")


def test_work_found_often_is_queued_once(shop: Any, hub: Hub, redis: Any) -> None:
    works = agenda(hub, BySchedule(shop.settings().schedules), hub.clock()).ready
    assert enqueue(works, redis) == len(works) == 3
    assert enqueue(works, redis) == 0
    assert queued(redis) == 3


def test_jobs_carry_names_only_as_json(shop: Any, hub: Hub, redis: Any) -> None:
    enqueue([Work("pull", "crm", "companies")], redis)
    (job,) = queue(LANES[1], redis).jobs
    assert job.args == ["pull", "crm", "companies", False]
    assert JSONSerializer.loads(job.data)[3] == {}


def test_both_agree_and_redis_is_left_empty(shop: Any, hub: Hub, redis: Any) -> None:
    shop.crm.create("companies", name="From the CRM")
    shop.erp.create("companies", name="From the ERP")
    rounds(shop, hub, redis)
    both = {"From the CRM", "From the ERP"}
    assert (shop.names(shop.crm), shop.names(shop.erp)) == (both, both)
    assert [key for key in redis.keys("rq:job:*")] == []
    with hub.store.read() as tx:
        assert leases.holders(tx) == set()


def test_the_end_of_work_wakes_the_scheduler(
    shop: Any, hub: Hub, redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "TICK", 600.0)
    stop = Event()
    scheduler = Thread(
        target=remote.schedule, args=(hub, shop.settings().schedules, shop.redis_url, stop)
    )
    scheduler.start()
    try:
        queue(LANES[0], redis).enqueue(run, args=("pull", "crm", "companies"))
        all_queued(shop, hub)
        until = time.monotonic() + 60
        while not queued(redis) and time.monotonic() < until:
            time.sleep(0.01)
        assert queued(redis)
    finally:
        stop.set()
        tell(redis)
        scheduler.join()


def test_a_flushed_redis_loses_nothing(shop: Any, hub: Hub, redis: Any) -> None:
    shop.crm.create("companies", name="ACME")
    enqueue(agenda(hub, BySchedule(shop.settings().schedules), hub.clock()).ready, redis)
    redis.flushdb()
    assert queued(redis) == 0
    rounds(shop, hub, redis)
    assert shop.names(shop.erp) == {"ACME"}


def test_the_same_job_twice_is_work_done_once(shop: Any, hub: Hub, redis: Any) -> None:
    shop.crm.create("companies", name="ACME")
    lane = queue(LANES[0], redis)
    for _ in range(2):
        lane.enqueue(run, args=("pull", "crm", "companies"))
        lane.enqueue(run, args=("pull", "erp", "companies"))
        lane.enqueue(run, args=("push", "erp", ""))
    all_queued(shop, hub)
    assert [one["name"] for one in shop.erp.records("companies").values()] == ["ACME"]


def test_a_foreign_job_does_not_run(
    shop: Any, hub: Hub, redis: Any, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    target = tmp_path / "made"
    Queue("tulay-live", connection=redis, serializer=JSONSerializer).enqueue(
        os.mkdir, args=(str(target),)
    )
    all_queued(shop, hub)
    assert not target.exists()
    assert "refused a job" in caplog.text


def test_jobs_outside_a_worker_say_what_to_start() -> None:
    with pytest.raises(RuntimeError, match="tulay worker"):
        run("pull", "crm", "companies")
