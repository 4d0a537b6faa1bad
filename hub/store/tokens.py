"""OAuth tokens at rest: encrypted, one row per connection, renewed by whoever holds the lease.

Has connections of its own, and is never asked while the same thread holds a writing transaction.
Neither keys nor tokens are in a repr or an error.
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
#: Seconds that the database may take.
PATIENCE = 5
#: A token that was renewed must not be lost: storing it is tried so often, with growing pauses.
_ATTEMPTS = 6


def fresh_key() -> str:
    """Returns a new key for `secret_key`."""
    return Fernet.generate_key().decode()


class SealedTokens:
    """Keeps the tokens of one connection for all processes; the first key seals, all open."""

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
        """Passes when there is a key. Raises: SettingsError."""
        if self._box is None:
            raise SettingsError(
                f"connections.{self._connection} uses OAuth, whose tokens are kept encrypted, and"
                " there is no key: print one with `tulay config key`, put it into an environment"
                " variable and write `secret_key: ${TULAY_SECRET_KEY}` into tulay.yaml"
            )

    def load(self) -> Token | None:
        """Returns the stored token; None without one that these keys open."""
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
        """Takes the turn to renew; False while another process has it."""
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
        """Gives the turn back; when the database does not answer, it lapses."""
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
            log.warning("the turn to renew was not given back, it lapses: %s", error)

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Transaction]:
        if self._main.writing:
            raise UnavailableError(
                "tokens are not looked up inside a writing transaction: call the system outside"
            )
        if self._beside is None:
            self._beside = self._main.beside(PATIENCE)
        store = self._beside
        try:
            with store.begin(durable=True) if writes else store.read() as tx:
                yield tx
        except SQLAlchemyError as error:
            raise UnavailableError(
                f"the database does not answer ({type(error).__name__}); the tokens of"
                f" {self._connection} are there"
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
                " settings. If the key was replaced, name the old one as second",
                self._connection,
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
