"""The ledger of rate limits in the database: one row per connection, locked while it is updated.

It uses separate connections with short time-outs, and never while the same thread holds a writing
transaction, because on SQLite it would wait for itself.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection as Transaction
from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError

from connectors.kit.ledger import Claim, Grant, LedgerError
from hub.model.rate_limits import RateLimitState, Reservation, close, day_of, reserve
from hub.store.engine import Store, upsert
from hub.store.tables import rate_limits

#: Seconds that a query may take. If it takes longer, reading continues more cautiously.
PATIENCE = 2

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DatabaseLedger:
    """Counts the calls of one connection for all processes on this database."""

    def __init__(
        self, store: Store, connection: str, *, clock: Callable[[], float] | None = None
    ) -> None:
        self._main = store
        self._store = store.beside(PATIENCE)
        self._connection = connection
        self._mine = rate_limits.c.connection == connection
        self._clock = clock
        # Not the worker's name, because one process may open the same connection twice.
        self._who = uuid.uuid4().hex[:12]

    def reserve(self, claim: Claim) -> Grant:
        """Records the calls of a claim and returns the next grant. Raises: LedgerError."""
        grant: Grant | None = None

        def decide(account: RateLimitState, now: float) -> RateLimitState:
            nonlocal grant
            account, grant = reserve(account, claim, who=self._who, now=now)
            return account

        self._change(decide)
        assert grant is not None
        return grant

    def close(self, seconds: float) -> None:
        """Stops all processes for a number of seconds. Raises: LedgerError."""
        self._change(lambda account, now: close(account, seconds, now))

    def closed(self) -> float:
        """Returns the seconds for which all processes are stopped. Raises: LedgerError."""
        query = select(rate_limits.c.closed_until).where(
            rate_limits.c.connection == self._connection
        )
        try:
            with self._store.read() as tx:
                until = tx.execute(query).scalar()
                return 0.0 if until is None else max(0.0, _seconds(until) - self._now(tx))
        except SQLAlchemyError as error:
            raise LedgerError(type(error).__name__) from error

    def _change(self, decide: Callable[[RateLimitState, float], RateLimitState]) -> None:
        if self._main.writing:
            raise LedgerError("a writing transaction is open; call connectors outside of it")
        try:
            with self._store.begin() as tx:
                account = self._locked(tx)
                # The clock is read after the lock was acquired, which may have taken a while.
                self._save(tx, decide(account, self._now(tx)))
        except SQLAlchemyError as error:
            raise LedgerError(type(error).__name__) from error

    def _locked(self, tx: Transaction) -> RateLimitState:
        query = select(rate_limits).where(self._mine).with_for_update()
        row = tx.execute(query).first()
        if row is None:
            fresh = {"connection": self._connection, "blocks": [], "day": "", "used": 0}
            upsert(tx, rate_limits, [fresh], key=["connection"], update=[])
            row = tx.execute(query).one()
        return RateLimitState(
            blocks=tuple(Reservation(*block) for block in row.blocks),
            closed_until=0.0 if row.closed_until is None else _seconds(row.closed_until),
            day=row.day,
            used=row.used,
            daily=row.daily,
            limits={lane: tuple(limit) for lane, limit in (row.limits or {}).items()},
        )

    def _save(self, tx: Transaction, account: RateLimitState) -> None:
        blocks = [[b.who, b.lane, b.bulk, b.count, b.until, b.open] for b in account.blocks]
        until = _EPOCH + timedelta(seconds=account.closed_until) if account.closed_until else None
        tx.execute(
            update(rate_limits)
            .where(self._mine)
            .values(
                blocks=blocks,
                closed_until=until,
                day=account.day,
                used=account.used,
                daily=account.daily,
                limits=dict(account.limits),
            )
        )

    def _now(self, tx: Transaction) -> float:
        if self._clock is not None:
            return self._clock()
        if self._store.embedded:
            return time.time()
        # The clocks of hosts differ; the database has one.
        return float(tx.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())


def _seconds(moment: datetime) -> float:
    return (moment - _EPOCH).total_seconds()


def usage(tx: Transaction, *, now: datetime) -> Mapping[str, tuple[int, int | None]]:
    """Returns {connection: (calls of this UTC day, calls per day that the system allows)}."""
    query = select(
        rate_limits.c.connection, rate_limits.c.day, rate_limits.c.used, rate_limits.c.daily
    )
    today = day_of(_seconds(now))
    found: dict[str, Any] = {}
    for name, day, used, daily in tx.execute(query):
        found[name] = (used if day == today else 0, daily)
    return found
