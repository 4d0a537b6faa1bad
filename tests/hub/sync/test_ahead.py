"""Reading ahead: small pages are joined in order, and an error loses nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import Empty

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kit.contract import Merge, Page, Record
from connectors.kit.errors import UnavailableError
from hub.sync.ingest.prefetch import PORTION, _portions, ahead, fits, joined


def page(*keys: str, **more: object) -> Page:
    return Page(records=[Record(key, {"id": key}) for key in keys], **more)


def keys(pages: list[Page]) -> list[str]:
    return [record.key for one in pages for record in one.records]


@given(st.lists(st.integers(0, PORTION), max_size=6))
def test_every_record_comes_once_and_in_order(sizes: list[int]) -> None:
    pages = [
        page(*(f"{n}.{i}" for i in range(size)), cursor=str(n)) for n, size in enumerate(sizes)
    ]
    found = list(ahead(pages))
    assert keys(found) == keys(pages)
    assert [one.cursor for one in found][-1:] == [one.cursor for one in pages][-1:]
    assert all(len(one.records) < 2 * PORTION for one in found)


def test_pages_that_are_there_are_stored_together() -> None:
    there = iter([page("a"), page("b"), page("c"), Empty(), page("d"), None])
    found = list(_portions(lambda _seconds: next(there)))
    assert [keys([one]) for one in found] == [["a", "b", "c"], ["d"]]


def test_a_full_page_waits_for_nothing() -> None:
    there = iter([page(*map(str, range(PORTION))), page("a"), None])
    found = list(_portions(lambda _seconds: next(there)))
    assert [len(one.records) for one in found] == [PORTION, 1]


def test_gone_and_merged_keep_their_order() -> None:
    gone, merged = Page(gone=["a"]), Page(merges=[Merge("b", "c")])
    found = list(ahead([page("a"), gone, page("b"), merged, page("c")]))
    assert [(keys([one]), one.gone, one.merges) for one in found] == [
        (["a"], (), ()),
        ([], ["a"], ()),
        (["b"], (), ()),
        ([], (), [Merge("b", "c")]),
        (["c"], (), ()),
    ]


def test_pages_before_an_error_come_first() -> None:
    def pages() -> Iterator[Page]:
        yield page("a", cursor="1")
        yield page("b", cursor="2")
        raise UnavailableError("down")

    found = []
    with pytest.raises(UnavailableError):
        found += ahead(pages())  # a list collects what arrives until then
    assert (keys(found), found[-1].cursor) == (["a", "b"], "2")


def test_a_page_does_not_wait_for_a_slow_one() -> None:
    slow = threading.Event()

    def pages() -> Iterator[Page]:
        yield page("a")
        slow.wait(60)
        yield page("b")

    reading = ahead(pages())
    assert keys([next(reading)]) == ["a"]
    slow.set()
    assert keys(list(reading)) == ["b"]


def test_reading_ends_with_its_reader() -> None:
    def pages() -> Iterator[Page]:
        while True:
            yield page(*map(str, range(PORTION)))

    reading = ahead(pages())
    next(reading)
    reading.close()
    assert not [t for t in threading.enumerate() if t.name == "tulay-ahead"]


def test_a_joined_page_has_the_second_cursor() -> None:
    both = joined(page("a", cursor="1", total=5), page("b"))
    assert (keys([both]), both.cursor, both.total) == (["a", "b"], "1", 5)
    assert not fits(page("a"), Page(gone=["a"]))
