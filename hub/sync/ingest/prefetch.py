"""Reads ahead in a thread, so that the network and the database work at the same time.

Small pages are joined into portions of one transaction each, because a page of a hundred records
costs little to decide about and much to begin and commit. Makes no decisions about records.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextvars import copy_context
from queue import Empty, Queue
from threading import Event, Thread

from connectors.kit.contract import Page
from connectors.kit.errors import ConnectorError

#: Minimum number of records per transaction, if they arrive fast enough.
PORTION = 500
#: Maximum number of seconds that a page waits to be joined with others.
PATIENCE = 0.25
#: Maximum number of pages waiting to be ingested; bounds the memory per stream.
_WAITING = 4

#: What the reading thread hands over: a page, an error, or None at the end.
_Read = Page | BaseException | None


def ahead(pages: Iterable[Page]) -> Generator[Page]:
    """Yields the pages, read by a thread, in portions. Raises what reading them raises.

    Pages that were read before an error are yielded before it is raised.
    """
    ready: Queue[_Read] = Queue(maxsize=_WAITING)
    stopped = Event()

    def read() -> None:
        ended: BaseException | None = None
        try:
            for page in pages:
                ready.put(page)
                if stopped.is_set():
                    return
        except ConnectorError as error:
            ended = error
        except BaseException as error:  # noqa: BLE001 - handed to the reader below, not swallowed
            ended = error
        ready.put(ended)

    # In the context of this thread, which holds whether its calls are bulk work.
    thread = Thread(target=copy_context().run, args=(read,), name="tulay-ahead", daemon=True)
    thread.start()
    try:
        yield from _portions(lambda seconds: _next(ready, seconds))
    finally:
        stopped.set()
        while thread.is_alive():
            _empty(ready)
            thread.join(timeout=0.05)


def _portions(following: Callable[[float | None], _Read | Empty]) -> Iterator[Page]:
    """Joins pages until a portion is full, the next page does not fit, or time is up."""
    held: Page | None = None
    until = 0.0
    while True:
        found = following(None if held is None else until - time.monotonic())
        if isinstance(found, Page) and held is not None and fits(held, found):
            held = joined(held, found)
        else:
            if held is not None:
                yield held
            held = None
            if isinstance(found, BaseException) and not isinstance(found, Empty):
                raise found
            if found is None:
                return
            if isinstance(found, Page):
                held, until = found, time.monotonic() + PATIENCE
        if held is not None and len(held.records) >= PORTION:
            yield held
            held = None


def _next(ready: Queue[_Read], seconds: float | None) -> _Read | Empty:
    """Returns the next result; Empty if nothing arrived in time."""
    try:
        return ready.get(timeout=None if seconds is None else max(seconds, 0.0))
    except Empty as nothing:
        return nothing


def fits(one: Page, other: Page) -> bool:
    """Returns True if two pages may be joined: deletions and merges must keep their order."""
    return not (one.gone or one.merges or other.gone or other.merges)


def joined(one: Page, other: Page) -> Page:
    """Returns two pages as one, with the cursor of the second.

    >>> joined(Page(cursor="a", total=3), Page(cursor="b")).cursor
    'b'
    """
    return Page(
        records=[*one.records, *other.records],
        cursor=other.cursor or one.cursor,
        total=one.total if other.total is None else other.total,
    )


def _empty(ready: Queue[_Read]) -> None:
    while not ready.empty():
        ready.get_nowait()
