"""The faults of the registry at the memory system: what exactly happens, for all its processes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.kit.contract import Create, Update
from connectors.kit.errors import (
    CursorExpiredError,
    RateLimitedError,
    RecordRejectedError,
    UnavailableError,
)
from connectors.kit.faults import FaultError
from connectors.memory import MemoryConnector, MemorySystem
from connectors.memory.faults import KNOWN


class Clock:
    def __init__(self) -> None:
        self.at = datetime(2026, 11, 23, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at


@pytest.fixture
def crm() -> MemorySystem:
    return MemorySystem("crm", clock=Clock())


@pytest.fixture
def connector(crm: MemorySystem) -> MemoryConnector:
    return MemoryConnector.of(crm, page=2, webhook_secret="hush")


def read(connector: MemoryConnector, since: str | None = None) -> tuple[list[str], str | None]:
    pages = list(connector.pages("companies", since))
    return [r.key for page in pages for r in page.records], pages[-1].cursor


@pytest.mark.parametrize("fault", ["throttled", "quota", "abrupt"])
def test_a_limited_call_has_not_happened(
    crm: MemorySystem, connector: MemoryConnector, fault: str
) -> None:
    crm.inject_faults(f"{fault}:1")
    with pytest.raises(RateLimitedError) as caught:
        connector.write("companies", [Create("o1", {})])
    assert (caught.value.retry_after is None) == (fault == "abrupt")
    assert crm.records("companies") == {}


@pytest.mark.parametrize("fault", ["lost", "timeout", "reset", "truncated"])
def test_an_answer_is_lost_after_the_commit(
    crm: MemorySystem, connector: MemoryConnector, fault: str
) -> None:
    crm.inject_faults(f"{fault}:1")
    with pytest.raises(UnavailableError):
        connector.write("companies", [Create("o1", {})])
    assert len(crm.records("companies")) == 1
    with pytest.raises(UnavailableError):
        connector.fetch("companies", ["1"])


def test_down_is_before_the_commit_html_is_either(
    crm: MemorySystem, connector: MemoryConnector
) -> None:
    crm.inject_faults("down:1")
    with pytest.raises(UnavailableError):
        connector.write("companies", [Create("o1", {})])
    assert crm.records("companies") == {}
    crm.inject_faults("html:1")
    for n in range(20):
        with pytest.raises(UnavailableError):
            connector.write("companies", [Create(f"h{n}", {})])
    assert 0 < len(crm.records("companies")) < 20


def test_all_processes_draw_from_one_row(tmp_path: Path) -> None:
    def story(name: str, clients: int) -> list[bool]:
        notified = []
        for turn in range(60):
            if turn % (60 // clients) == 0:  # a process starts again
                system = MemorySystem("far", path=tmp_path / name)
                connector = MemoryConnector.of(system)
                if turn == 0:
                    system.inject_faults("down:0.5", seed=1)
            try:
                connector.fetch("companies", ["1"])
                notified.append(True)
            except UnavailableError:
                notified.append(False)
        return notified

    once, often = story("once", 1), story("often", 20)
    assert once == often
    assert 15 < sum(once) < 45


def test_processes_share_one_script_of_faults(tmp_path: Path) -> None:
    one = MemorySystem("far", path=tmp_path / "far")
    other = MemorySystem("far", path=tmp_path / "far")
    one.inject_faults(script=("read",))
    with pytest.raises(UnavailableError):
        MemoryConnector.of(other).fetch("companies", ["1"])
    MemoryConnector.of(one).fetch("companies", ["1"])


def test_changes_share_one_time(crm: MemorySystem, connector: MemoryConnector) -> None:
    crm.inject_faults("ties")
    keys = [crm.create("companies", name=str(n)) for n in range(5)]
    times = {r.modified_at for r in connector.fetch("companies", keys).records}
    assert len(times) == 1
    assert len({r.version for r in connector.fetch("companies", keys).records}) == 5
    found, cursor = read(connector)
    crm.edit("companies", keys[0], name="changed")
    again, _ = read(connector, cursor)
    assert sorted(found) == keys
    assert keys[0] in again


def test_the_clock_is_wrong_and_stays_so(crm: MemorySystem, connector: MemoryConnector) -> None:
    crm.inject_faults("skew", seed=1)
    (record,) = connector.fetch("companies", [crm.create("companies")]).records
    assert record.modified_at is not None
    wrong = abs(record.modified_at - crm.clock())
    assert timedelta(minutes=1) < wrong + timedelta(seconds=1) < timedelta(hours=3)
    skew = crm.faults.skew
    crm.inject_faults()
    assert crm.faults.skew == skew
    _, cursor = read(connector)
    key = crm.create("companies", name="late")
    assert key in read(connector, cursor)[0]


def test_a_record_moves_while_pages_are_read(crm: MemorySystem, connector: MemoryConnector) -> None:
    keys = [crm.create("companies", name=str(n)) for n in range(8)]
    crm.inject_faults("moving:1")
    before = {k: dict(v) for k, v in crm.records("companies").items()}
    found, cursor = read(connector)
    assert sorted(found) == keys
    assert crm.records("companies") == before, "values are left alone"
    assert read(connector, cursor)[0], "what moved comes again"


def test_a_record_is_away_while_pages_are_read(
    crm: MemorySystem, connector: MemoryConnector
) -> None:
    keys = [crm.create("companies", name=str(n)) for n in range(8)]
    crm.inject_faults("vanishing:1", seed=2)
    sweeps = [{k for portion in connector.keys("companies") for k in portion} for _ in range(5)]
    assert any(len(sweep) < 8 for sweep in sweeps)
    assert sorted(crm.records("companies")) == keys, "back after the last page"


def test_a_cursor_ends(crm: MemorySystem, connector: MemoryConnector) -> None:
    _, cursor = read(connector)
    crm.inject_faults("cursor:1")
    with pytest.raises(CursorExpiredError):
        read(connector, cursor)
    read(connector)


def test_parts_of_a_batch_fail(crm: MemorySystem, connector: MemoryConnector) -> None:
    crm.inject_faults("partial:1", seed=3)
    broken = unheard = 0
    for turn in range(20):
        try:
            outcomes = connector.write("companies", [Create(f"{turn}-{n}", {}) for n in range(4)])
            unheard += sum(outcome.error is not None for outcome in outcomes)
        except UnavailableError:
            broken += 1
    assert broken
    assert unheard
    assert 20 < len(crm.records("companies")) < 80


def test_a_rule_refuses_the_same_value_always(
    crm: MemorySystem, connector: MemoryConnector
) -> None:
    crm.inject_faults("refused:0.5", seed=2)
    writes = [Create(f"o{n}", {"name": f"Acme {n}"}) for n in range(20)]

    def refused() -> list[int]:
        outcomes = connector.write("companies", writes)
        return [n for n, o in enumerate(outcomes) if "rule" in str(o.error)]

    first = refused()
    assert 0 < len(first) < 20
    assert refused() == first
    bad = connector.write("companies", [writes[first[0]]])[0].error
    assert isinstance(bad, RecordRejectedError)
    assert set(bad.fields) == {"name"}
    assert "Acme" not in str(bad)
    crm.create("companies", name="people are not asked")


def test_values_are_written_another_way(crm: MemorySystem, connector: MemoryConnector) -> None:
    crm.inject_faults("shouted,shortened,rounded")
    address = {"city": "Bonn", "street": "Dock 1"}
    made = {"name": "A" * 40, "address": address, "price": "1.26"}
    (outcome,) = connector.write("companies", [Create("o1", made)])
    assert outcome.record is not None
    assert outcome.record.payload == {
        "name": "A" * 24,
        "address": {"city": "BONN", "street": "Dock 1"},
        "price": "1.3",
    }
    assert outcome.key is not None
    connector.write("companies", [Update(outcome.key, {"address": {"city": "Köln"}}, None)])
    assert crm.get("companies", outcome.key)["address"]["city"] == "KÖLN"


def test_a_merge_makes_a_third_record(crm: MemorySystem, connector: MemoryConnector) -> None:
    one = crm.create("companies", name="One", external_id="o1")
    other = crm.create("companies", name="Other", external_id="o2")
    crm.inject_faults("merged")
    third = crm.merge("companies", other, into=one)
    assert third not in (one, other)
    assert crm.records("companies") == {third: {"name": "One"}}
    page = connector.fetch("companies", [one, other])
    assert {(m.key, m.into) for m in page.merges} == {(one, third), (other, third)}
    assert {r.key for r in connector.find("companies", ["o1", "o2"]).values()} == {third}


def notified(crm: MemorySystem, connector: MemoryConnector) -> list[tuple[str, str, str | None]]:
    found = []
    for request in crm.events.deliveries(secret="hush", size=3):
        assert connector.verify(request)
        found += [(n.event_id, n.key, n.into) for n in connector.notifications(request.body)]
    return found


def test_every_change_is_notified_once(crm: MemorySystem, connector: MemoryConnector) -> None:
    crm.create("companies", name="before anybody asked")
    crm.events.subscribe()
    keys = [crm.create("companies", name=str(n)) for n in range(4)]
    connector.write("companies", [Create("o1", {})])
    crm.delete("companies", keys[0])
    crm.merge("companies", keys[1], into=keys[2])
    news = notified(crm, connector)
    assert [key for _, key, _ in news][:6] == [*keys, "6", keys[0]]
    assert (keys[1], keys[2]) in [(key, into) for _, key, into in news]
    assert len({event for event, _, _ in news}) == len(news)
    assert notified(crm, connector) == []


def test_the_post_is_unreliable(crm: MemorySystem, connector: MemoryConnector) -> None:
    crm.events.subscribe()

    def sent(faults: str) -> list[str]:
        crm.inject_faults(faults, seed=5)
        keys = [crm.create("companies") for _ in range(30)]
        at_once = [key for _, key, _ in notified(crm, connector)]
        crm.clock.at += timedelta(seconds=10)  # type: ignore[attr-defined]
        late = [key for _, key, _ in notified(crm, connector)]
        assert set(at_once + late) <= set(keys)
        if "delayed" in faults:
            assert late
        return at_once + late

    assert len(set(sent("dropped:0.5"))) in range(5, 26)
    twice = sent("duplicated:0.5")
    assert len(twice) > 35
    assert len(set(twice)) == 30
    assert len(sent("delayed:0.5")) == 30
    mixed = sent("reordered:1")
    assert mixed != sorted(mixed, key=int)


def test_it_has_no_tokens_that_could_expire(crm: MemorySystem) -> None:
    assert {"token", "rotated"}.isdisjoint(KNOWN)
    with pytest.raises(FaultError, match="a memory system cannot be token"):
        crm.inject_faults("lost,token")
