"""Group commit: deliveries that arrive together are stored in one durable transaction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from hub.store.engine import Store, trouble
from hub.store.inbox import InboxEntry
from hub.sync.ingest.webhooks import note

log = logging.getLogger("tulay.web")

#: Maximum number of rows per transaction, and waiting in memory before deliveries are refused.
_MOST_ROWS = 2_000
_MOST_WAITING = 20_000


class NotStoredError(Exception):
    """The database did not store the rows; the sender must retry."""


@dataclass(slots=True)
class _Delivery:
    rows: Sequence[InboxEntry]
    stored: asyncio.Future[None]


class Inbox:
    """Stores deliveries; `put` returns after the commit."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._waiting: list[_Delivery] = []
        self._writer: asyncio.Task[None] | None = None
        #: Number of transactions so far.
        self.commits = 0

    async def put(self, rows: Sequence[InboxEntry]) -> None:
        """Stores rows durably. Raises: NotStoredError."""
        if sum(len(delivery.rows) for delivery in self._waiting) > _MOST_WAITING:
            raise NotStoredError
        delivery = _Delivery(rows, asyncio.get_running_loop().create_future())
        self._waiting.append(delivery)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        await delivery.stored

    async def _write(self) -> None:
        # Deliveries that arrive during one transaction share the next one.
        while self._waiting:
            group = self._group()
            stored = False
            try:
                stored = await asyncio.to_thread(self._commit, group)
            finally:
                for delivery in group:
                    _tell(delivery.stored, stored)

    def _group(self) -> list[_Delivery]:
        group: list[_Delivery] = []
        rows = 0
        while self._waiting and (not group or rows + len(self._waiting[0].rows) <= _MOST_ROWS):
            group.append(self._waiting.pop(0))
            rows += len(group[-1].rows)
        return group

    def _commit(self, group: Sequence[_Delivery]) -> bool:
        rows = [row for delivery in group for row in delivery.rows]
        try:
            note(self._store, rows, now=self._clock())
        except SQLAlchemyError as error:
            why = trouble(error) if isinstance(error, DBAPIError) else type(error).__name__
            log.error(
                "%d notifications were not stored: %s",
                *(len(rows), why),
                extra={"count": len(rows), "error_kind": type(error).__name__},
            )
            return False
        self.commits += 1
        return True


def _tell(waiting: asyncio.Future[None], stored: bool) -> None:
    if waiting.done():  # the sender has disconnected; its rows are stored anyway
        return
    if stored:
        waiting.set_result(None)
    else:
        waiting.set_exception(NotStoredError())
