"""OAuth tokens at rest: encrypted, one row per connection, renewed by the holder of the lease.

Uses a separate connection, and never while the same thread holds a writing transaction. Neither
keys nor tokens appear in a repr or an error.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr
from sqlalchemy import Connection as Transaction
from sqlalchemy import or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from connectors.kit.auth import Token
from connectors.kit.errors import UnavailableError
from hub.errors import SettingsError
from hub.store.engine import Store, upsert
from hub.store.tables import connections

log = logging.getLogger("tulay.tokens")

#: How long one process may renew before another one tries: longer than a call may take.
TOKEN_LEASE = timedelta(seconds=60)
#: Seconds that a query may take.
PATIENCE = 5
#: Attempts to store a renewed token, which must not be lost, with growing pauses.
_ATTEMPTS = 6


def fresh_key() -> str:
    """Returns a new key for `secret_key`."""
    return Fernet.generate_key().decode()


class SealedTokens:
    """Stores the tokens of one connection for all processes; the first key seals, all keys open."""

    def __init__(
        self,
        store: Store,
        connection: str,
        *,
        keys: Sequence[SecretStr],
        worker: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._main = store
        self._beside: Store | None = None
        self._connection = connection
        self._worker = worker
        self._clock = clock
        self._sleep = sleep
        self._box = MultiFernet([Fernet(key.get_secret_value()) for key in keys]) if keys else None

    def ready(self) -> None:
        """Returns if there is a key. Raises: SettingsError."""
        if self._box is None:
            raise SettingsError(
                f"connections.{self._connection} uses OAuth, whose tokens are kept encrypted, and"
                " there is no key: print one with `tulay config key`, put it into an environment"
                " variable and write `secret_key: ${TULAY_SECRET_KEY}` into tulay.yaml"
            )

    def load(self) -> Token | None:
        """Returns the stored token; None if there is none that these keys open."""
        with self._transaction(writes=False) as tx:
            sealed = tx.execute(
                select(connections.c.tokens).where(connections.c.connection == self._connection)
            ).scalar()
        return None if sealed is None else self._opened(sealed)

    def save(self, token: Token) -> None:
        """Stores a token; durable when it returns."""
        row = {"connection": self._connection, "tokens": self._sealed(token)}
        for attempt in range(_ATTEMPTS):
            try:
                with self._transaction(writes=True) as tx:
                    upsert(tx, connections, [row], key=["connection"], update=["tokens"])
                return
            except UnavailableError:
                if attempt == _ATTEMPTS - 1:
                    raise
                self._sleep(0.2 * 2**attempt)

    def claim(self) -> bool:
        """Takes the lease to renew the tokens; returns False while another process has it."""
        now = self._clock()
        mine = connections.c.connection == self._connection
        free = or_(connections.c.leased_until.is_(None), connections.c.leased_until < now)
        with self._transaction(writes=True) as tx:
            upsert(
                tx,
                connections,
                [{"connection": self._connection}],
                key=["connection"],
                update=[],
            )
            taken = tx.execute(
                update(connections)
                .where(mine, free)
                .values(leased_by=self._worker, leased_until=now + TOKEN_LEASE)
            )
            return taken.rowcount == 1

    def release(self) -> None:
        """Releases the lease; if the database does not answer, it expires."""
        mine = (
            connections.c.connection == self._connection,
            connections.c.leased_by == self._worker,
        )
        try:
            with self._transaction(writes=True) as tx:
                tx.execute(
                    update(connections).where(*mine).values(leased_by=None, leased_until=None)
                )
        except UnavailableError as error:
            log.warning(
                "could not release the lease on renewing tokens; it will expire: %s",
                error,
                extra={"connection": self._connection, "error_kind": type(error).__name__},
            )

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Transaction]:
        if self._main.writing:
            raise UnavailableError(
                "tokens cannot be read inside a writing transaction: call the system outside"
            )
        if self._beside is None:
            self._beside = self._main.beside(PATIENCE)
        store = self._beside
        try:
            with store.begin(durable=True) if writes else store.read() as tx:
                yield tx
        except SQLAlchemyError as error:
            raise UnavailableError(
                f"the database does not answer ({type(error).__name__}); it holds the tokens of"
                f" {self._connection}"
            ) from error

    def _sealed(self, token: Token) -> bytes:
        self.ready()
        assert self._box is not None
        content = {
            "access": token.access,
            "refresh": token.refresh,
            "expires_at": token.expires_at.timestamp(),
            "lifetime": None if token.lifetime is None else token.lifetime.total_seconds(),
            "root": token.root,
        }
        return self._box.encrypt(orjson.dumps(content))

    def _opened(self, sealed: bytes) -> Token | None:
        self.ready()
        assert self._box is not None
        try:
            content = orjson.loads(self._box.decrypt(sealed))
        except InvalidToken:
            log.warning(
                "the stored tokens of %s do not open with secret_key; using refresh_token of the"
                " settings. If the key was replaced, list the old one second",
                self._connection,
                extra={"connection": self._connection},
            )
            return None
        lifetime = content["lifetime"]
        return Token(
            access=content["access"],
            refresh=content["refresh"],
            expires_at=datetime.fromtimestamp(content["expires_at"], UTC),
            lifetime=None if lifetime is None else timedelta(seconds=lifetime),
            root=content["root"],
        )
