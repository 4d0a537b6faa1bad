"""Reading skips nothing, whatever happens meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.kit.contract import Merge, Page, Payload
from connectors.kit.errors import CursorExpiredError
from connectors.memory import MemoryConnector, MemorySystem


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def crm(clock: Clock) -> MemorySystem:
    return MemorySystem("crm", clock=clock)


@pytest.fixture
def connector(crm: MemorySystem) -> MemoryConnector:
    return MemoryConnector.of(crm, page=2)


def keys(pages: list[Page]) -> list[str]:
    return [record.key for page in pages for record in page.records]


def end(connector: MemoryConnector) -> str:
    cursor = list(connector.pages("companies", None))[-1].cursor
    assert cursor is not None
    return cursor


def test_many_changes_at_one_moment_are_all_read(
    crm: MemorySystem, connector: MemoryConnector, clock: Clock
) -> None:
    cursor = end(connector)
    made = [crm.create("companies", name=str(n)) for n in range(7)]
    clock.move(60)
    assert keys(list(connector.pages("companies", cursor))) == made


def test_equal_times_do_not_trap_a_reader(
    crm: MemorySystem, connector: MemoryConnector, clock: Clock
) -> None:
    """A reader that takes one page at a time gets past many changes of one moment."""
    cursor = end(connector)
    made = {crm.create("companies", name=str(n)) for n in range(7)}
    clock.move(60)
    seen: set[str] = set()
    for _ in range(4):
        page = next(iter(connector.pages("companies", cursor)))
        seen |= set(keys([page]))
        assert page.cursor is not None
        cursor = page.cursor
    assert seen == made


def test_unchanged_records_are_not_read_again(
    crm: MemorySystem, connector: MemoryConnector, clock: Clock
) -> None:
    made = [crm.create("companies", name=str(n)) for n in range(5)]
    clock.move(60)
    cursor = end(connector)
    crm.edit("companies", made[3], name="x")
    assert keys(list(connector.pages("companies", cursor))) == [made[3]]


def test_the_overlap_brings_late_changes(
    crm: MemorySystem, connector: MemoryConnector, clock: Clock
) -> None:
    clock.move(60)
    cursor = end(connector)
    clock.move(-3)
    late = crm.create("companies", name="late")
    clock.move(60)
    assert keys(list(connector.pages("companies", cursor))) == [late]


def test_a_lagging_index_skips_no_change(
    crm: MemorySystem, connector: MemoryConnector, clock: Clock
) -> None:
    crm.inject_faults(lag=3)
    cursor = end(connector)
    clock.move(60)
    new = crm.create("companies", name="new")
    pages = list(connector.pages("companies", cursor))
    assert keys(pages) == []
    assert keys([connector.fetch("companies", [new])]) == [new]
    clock.move(4)
    assert keys(list(connector.pages("companies", pages[-1].cursor))) == [new]


def test_find_lags_only_on_request(
    crm: MemorySystem, connector: MemoryConnector, clock: Clock
) -> None:
    crm.create("companies", name="new", external_id="o1")
    crm.inject_faults(lag=3)
    assert set(connector.find("companies", ["o1", "o2"])) == {"o1"}
    crm.inject_faults(lag=3, find_lags=True)
    assert connector.find("companies", ["o1"]) == {}
    clock.move(4)
    assert set(connector.find("companies", ["o1"])) == {"o1"}


def test_tombstones_and_merges_come_with_pages(
    crm: MemorySystem, connector: MemoryConnector
) -> None:
    a, b, c = (crm.create("companies", name=n) for n in "abc")
    cursor = end(connector)
    crm.delete("companies", a)
    crm.merge("companies", b, into=c)
    pages = list(connector.pages("companies", cursor))
    assert [key for page in pages for key in page.gone] == [a]
    assert [merge for page in pages for merge in page.merges] == [Merge(b, c)]
    assert keys(pages) == [c]


def test_a_merge_is_a_change_of_the_survivor(
    crm: MemorySystem, connector: MemoryConnector, clock: Clock
) -> None:
    a, b = (crm.create("companies", name=n) for n in "ab")
    clock.move(60)
    cursor = end(connector)
    crm.merge("companies", a, into=b)
    assert keys(list(connector.pages("companies", cursor))) == [b]


def test_a_change_at_the_cursors_moment_is_read(
    crm: MemorySystem, connector: MemoryConnector, clock: Clock
) -> None:
    made = [crm.create("companies", name=str(n)) for n in range(7)]
    cursor = end(connector)
    clock.move(60)
    for key in made[1:]:
        crm.edit("companies", key, name="x")
    first = next(p for p in connector.pages("companies", cursor) if made[2] in keys([p]))
    crm.edit("companies", made[0], name="at the same moment")
    assert made[0] in keys(list(connector.pages("companies", first.cursor)))


def test_without_tombstones_sweeps_find_deletions(
    crm: MemorySystem, connector: MemoryConnector
) -> None:
    """Streams without tombstones show deletions in a sweep only."""
    facts = crm.shape("companies").facts.model_copy(update={"deletions": "sweep"})
    crm.declare("companies", facts=facts)
    a, b = (crm.create("companies", name=n) for n in "ab")
    cursor = end(connector)
    crm.delete("companies", a)
    pages = list(connector.pages("companies", cursor))
    assert [key for page in pages for key in page.gone] == []
    assert [key for part in connector.keys("companies") for key in part] == [b]


def test_without_increments_everything_is_read(
    crm: MemorySystem, connector: MemoryConnector, clock: Clock
) -> None:
    facts = crm.shape("companies").facts.model_copy(update={"read": "full"})
    crm.declare("companies", facts=facts)
    made = [crm.create("companies", name=str(n)) for n in range(5)]
    pages = list(connector.pages("companies", None))
    clock.move(60)
    assert keys(list(connector.pages("companies", pages[0].cursor))) == made[2:]
    assert keys(list(connector.pages("companies", pages[-1].cursor))) == made


def test_a_read_ends_though_people_never_stop(
    crm: MemorySystem, connector: MemoryConnector, clock: Clock
) -> None:
    made = [crm.create("companies", name=str(n)) for n in range(6)]

    def busy(stream: str) -> None:
        clock.move(1)
        crm.create(stream, name="more")
        crm.edit(stream, made[0], name=clock.now.isoformat())

    crm.hooks.between_pages.append(busy)
    full = list(connector.pages("companies", None))
    assert keys(full) == made
    increment = list(connector.pages("companies", full[-1].cursor))
    crm.hooks.between_pages.clear()
    assert len(increment) < 10


def test_expired_and_foreign_cursors_are_errors(
    crm: MemorySystem, connector: MemoryConnector
) -> None:
    cursor = end(connector)
    crm.expire_cursors()
    for old in (cursor, "", "{}", "[1]", "nonsense"):
        if old:
            with pytest.raises(CursorExpiredError):
                list(connector.pages("companies", old))
    assert list(connector.pages("companies", end(connector)))


class Replica:
    """A reader that stores every page with its cursor, and may break off."""

    def __init__(self, connector: MemoryConnector) -> None:
        self._connector = connector
        self._cursor: str | None = None
        self.known: dict[str, Payload] = {}

    def read(self, most: int | None = None) -> None:
        """Continues reading, for a maximum number of pages."""
        for number, page in enumerate(self._connector.pages("companies", self._cursor), start=1):
            self.known |= {record.key: record.payload for record in page.records}
            for key in (*page.gone, *(merge.key for merge in page.merges)):
                self.known.pop(key, None)
            self._cursor = page.cursor
            if number == most:
                return


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["create", "edit", "delete", "merge", "wait", "read", "between"]),
        st.integers(0, 9),
    ),
    max_size=30,
)


def act(crm: MemorySystem, what: str, number: int) -> None:
    """Does what a user may do in the system, if it is possible now."""
    live = list(crm.records("companies"))
    if what == "create":
        crm.create("companies", name=f"new {number}")
    elif what == "edit" and live:
        crm.edit("companies", live[number % len(live)], name=f"edited {number}")
    elif what == "delete" and live:
        crm.delete("companies", live[number % len(live)])
    elif what == "merge" and len(live) > 1:
        crm.merge("companies", live[0], into=live[1 + number % (len(live) - 1)])


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, size=st.integers(1, 3), overlap=st.sampled_from([0.0, 5.0]))
def test_a_reader_always_catches_up(
    steps: list[tuple[str, int]], size: int, overlap: float
) -> None:
    clock = Clock()
    crm = MemorySystem("crm", clock=clock)
    replica = Replica(MemoryConnector.of(crm, page=size, overlap=overlap))
    waiting: list[tuple[str, int]] = []

    def meanwhile(stream: str) -> None:
        if waiting:
            clock.move(waiting[-1][1] % 2)
            act(crm, *waiting.pop())
            clock.move(waiting[-1][1] if waiting else 1)

    crm.hooks.between_pages.append(meanwhile)
    for what, number in steps:
        if what == "read":
            replica.read(most=number or None)
        elif what == "wait":
            clock.move(number)
        elif what == "between":
            waiting.append((["create", "edit", "delete", "merge"][number % 4], number))
        else:
            act(crm, what, number)
    waiting.clear()
    replica.read()
    replica.read()
    assert replica.known == crm.records("companies")
