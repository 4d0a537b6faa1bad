"""Paginators end, or report that they run in circles."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kit.errors import ContractError
from connectors.kit.paging import by_cursor, by_offset


@given(items=st.lists(st.integers(), unique=True), size=st.integers(1, 9))
def test_offsets_bring_every_item_once(items: list[int], size: int) -> None:
    pages = by_offset(lambda offset: items[offset : offset + size], size)
    assert [item for page in pages for item in page] == items


def test_an_ignored_offset_is_noticed() -> None:
    with pytest.raises(ContractError, match="circles"):
        list(by_offset(lambda offset: [1, 2], 2))


def test_a_repeated_cursor_is_noticed() -> None:
    """A cursor that comes twice is noticed before its page is used."""
    steps: Iterator[tuple[str, str | None]] = iter([("p1", "a"), ("p2", "b"), ("p3", "a")])
    pages = by_cursor(lambda cursor: next(steps))
    assert [next(pages)[0], next(pages)[0]] == ["p1", "p2"]
    with pytest.raises(ContractError, match="circles"):
        next(pages)


def test_a_read_continues_from_a_cursor() -> None:
    pages = {"a": ("two", "b"), "b": ("three", None)}
    read = by_cursor(lambda cursor: pages[cursor or ""], "a")
    assert list(read) == [("two", "b"), ("three", None)]
