"""Paginators: they turn "read one page" into all pages, and refuse endless loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from connectors.kit.errors import ContractError

T = TypeVar("T")


def by_cursor(
    read: Callable[[str | None], tuple[T, str | None]], first: str | None = None
) -> Iterator[tuple[T, str | None]]:
    """Yields each page with the cursor of the next one; the last page comes with None.

    Raises: ContractError when a cursor comes twice.

    >>> pages = {None: ("one", "a"), "a": ("two", None)}
    >>> list(by_cursor(pages.__getitem__))
    [('one', 'a'), ('two', None)]
    """
    seen = {first}
    cursor = first
    while True:
        page, cursor = read(cursor)
        if cursor is not None and cursor in seen:
            raise ContractError(
                "paging runs in circles: a page named a cursor that was read before"
            )
        yield page, cursor
        if cursor is None:
            return
        seen.add(cursor)


def by_offset(
    read: Callable[[int], Sequence[T]], size: int, *, first: int = 0
) -> Iterator[Sequence[T]]:
    """Yields pages of `size` items until a shorter one; a last empty page is not yielded.

    Raises: ContractError when a page equals the previous one: the offset was ignored.

    >>> list(by_offset(lambda offset: "abcde"[offset : offset + 2], 2))
    ['ab', 'cd', 'e']
    """
    offset, before = first, None
    while items := read(offset):
        if items == before:
            raise ContractError(f"paging runs in circles: the page at {offset} came before")
        yield items
        if len(items) < size:
            return
        offset, before = offset + len(items), items
