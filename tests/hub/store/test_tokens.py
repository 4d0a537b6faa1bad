"""OAuth tokens at rest: encrypted, shared, renewed by one; keys rotate; the database may be
away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from connectors.kit.auth import Token
from connectors.kit.errors import UnavailableError
from hub.errors import SettingsError
from hub.store import leases
from hub.store.connections import connection_states, pause_reason, save_connection
from hub.store.engine import Store
from hub.store.tokens import TOKEN_LEASE, SealedTokens, fresh_key

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
TOKEN = Token("hush-access", NOON, "hush-refresh", timedelta(minutes=30), "root")


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


OLD, NEW = (SecretStr(fresh_key()) for _ in range(2))


def tokens(
    store: Store, clock: Clock, *keys: SecretStr, worker: str = "a", connection: str = "crm"
) -> SealedTokens:
    return SealedTokens(
        store, connection, keys=keys or (OLD,), worker=worker, clock=clock, sleep=clock.sleep
    )


def test_tokens_are_stored_encrypted(store: Store, clock: Clock) -> None:
    """Tokens are returned as stored, and cannot be read in the database."""
    own = tokens(store, clock)
    assert own.load() is None
    own.save(TOKEN)
    assert tokens(store, clock, worker="b").load() == TOKEN
    assert tokens(store, clock, connection="erp").load() is None
    with store.read() as tx:
        (raw,) = tx.execute(text("SELECT tokens FROM connections")).scalars()
    assert b"hush" not in bytes(raw)


def test_storing_leaves_the_connection_alone(store: Store, clock: Clock) -> None:
    with store.begin() as tx:
        save_connection(tx, "crm", paused_at=NOON, reason="why")
    own = tokens(store, clock)
    assert own.claim()
    own.save(TOKEN)
    own.release()
    with store.read() as tx:
        assert pause_reason(tx, "crm") == "why"
        progress_row = connection_states(tx)["crm"]
    assert progress_row.leased_by is None


def test_keys_rotate(store: Store, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    tokens(store, clock, OLD).save(TOKEN)
    both = tokens(store, clock, NEW, OLD)
    assert both.load() == TOKEN
    both.save(TOKEN)
    assert tokens(store, clock, NEW).load() == TOKEN
    assert tokens(store, clock, OLD).load() is None
    assert "do not open with secret_key" in caplog.text
    assert "hush" not in caplog.text


def test_without_a_key_it_says_what_to_do(store: Store) -> None:
    with pytest.raises(SettingsError, match="tulay config key"):
        SealedTokens(store, "crm", keys=(), worker="a").ready()


def test_one_of_many_gets_the_lease(store: Store, clock: Clock) -> None:
    several = [tokens(store, clock, worker=name) for name in "abcdef"]
    with ThreadPoolExecutor(6) as pool:
        turns = list(pool.map(lambda one: one.claim(), several))
    assert turns.count(True) == 1
    holder = several[turns.index(True)]
    several[turns.index(False)].release()  # not theirs to release
    assert not any(one.claim() for one in several)
    holder.release()
    assert several[0].claim()


def test_the_lease_of_the_dead_is_taken_over(store: Store, clock: Clock) -> None:
    """The lease of a dead process expires or is taken over."""
    dead, alive = tokens(store, clock, worker="dead"), tokens(store, clock, worker="alive")
    assert dead.claim()
    with store.begin() as tx:
        leases.renew(tx, "dead", now=clock.now + timedelta(hours=1))  # never prolonged
    clock.now += TOKEN_LEASE + timedelta(seconds=1)
    assert alive.claim()
    with store.read() as tx:
        assert leases.holders(tx) == {"alive"}
    with store.begin() as tx:
        leases.release(tx, "alive", now=clock.now, reason="died")
    assert dead.claim()


def test_a_short_outage_loses_no_token(store: Store, clock: Clock) -> None:
    own = tokens(store, clock)
    with store.begin() as tx:
        tx.exec_driver_sql("ALTER TABLE connections RENAME TO elsewhere")
    with pytest.raises(UnavailableError, match="does not answer") as raised:
        own.load()
    assert "hush" not in str(raised.value)
    own.release()

    def back(seconds: float) -> None:
        clock.now += timedelta(seconds=seconds)
        if clock.now > NOON + timedelta(seconds=1):
            with store.begin() as tx:
                tx.exec_driver_sql("ALTER TABLE elsewhere RENAME TO connections")

    patient = SealedTokens(store, "crm", keys=(OLD,), worker="a", clock=clock, sleep=back)
    patient.save(TOKEN)
    assert patient.load() == TOKEN


def test_a_writing_transaction_reads_no_tokens(store: Store, clock: Clock) -> None:
    own = tokens(store, clock)
    with store.begin(), pytest.raises(UnavailableError, match="writing transaction"):
        own.load()


def test_neither_key_nor_token_shows_itself(store: Store, clock: Clock) -> None:
    own = tokens(store, clock)
    own.save(TOKEN)
    shown = f"{own!r} {vars(own)!r} {own.load()!r}"
    assert "hush" not in shown
    assert OLD.get_secret_value() not in shown
