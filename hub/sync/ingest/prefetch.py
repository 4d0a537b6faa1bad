"""Reads ahead: the network and the database work side by side, and what is ready is stored at once.

Small pages are joined to portions, each one transaction: a page of a hundred records costs little
to decide about and much to begin and commit. Decides nothing about records.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextvars import copy_context
from queue import Empty, Queue
from threading import Event, Thread

from connectors.kit.contract import Page
from connectors.kit.errors import ConnectorError

#: Records that one transaction stores at least, when they come fast enough.
PORTION = 500
#: Seconds that a page waits at most for others to be stored with.
PATIENCE = 0.25
#: Pages that may wait to be taken in: what memory holds of a stream.
_WAITING = 4

#: What the reading thread hands over: a page, how it failed, or None at its end.
_Read = Page | BaseException | None


def ahead(pages: Iterable[Page]) -> Generator[Page]:
    """Yields the pages, read by a thread, in portions. Raises what reading them raises.

    What was read before an error is yielded before it is raised.
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

    # In the context of this thread, which says how these calls are meant.
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
    """Joins what follows until a portion is full, nothing fits, or it has waited long enough."""
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
    """Returns what was read next; Empty when nothing came in time."""
    try:
        return ready.get(timeout=None if seconds is None else max(seconds, 0.0))
    except Empty as nothing:
        return nothing


def fits(one: Page, other: Page) -> bool:
    """Says whether pages mean the same when joined: what goes or merges keeps its place in time."""
    return not (one.gone or one.merges or other.gone or other.merges)


def joined(one: Page, other: Page) -> Page:
    """Returns two pages as one, with the place that the second has reached.

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
