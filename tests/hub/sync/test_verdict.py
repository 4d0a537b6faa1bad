"""What happens to an outbox entry whose write failed, decided from the write and its outcome."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connectors.kit.contract import Create, Delete, Outcome, Update, Write
from connectors.kit.errors import (
    ConnectorError,
    CredentialsError,
    RateLimitedError,
    RecordMissingError,
    RecordRejectedError,
    RecordStaleError,
    UnavailableError,
)
from hub.sync.push.verdict import has_not_happened, of_outcome

CREATE, UPDATE, DELETE = Create("id", {}), Update("1", {}, None), Delete("1", None)
AWAY = UnavailableError("no answer")
BUSY = RateLimitedError("busy", retry_after=timedelta(seconds=7))
REFUSED = RecordRejectedError("refused", stream="s", key="1", fields={})
MISSING = RecordMissingError("gone", stream="s", key="1")
STALE = RecordStaleError("changed", stream="s", key="1")


@pytest.mark.parametrize(
    ("write", "error", "state"),
    [
        (CREATE, AWAY, None),  # it may have happened: it is probed first
        (UPDATE, AWAY, "due"),
        (CREATE, BUSY, "due"),
        (CREATE, REFUSED, "held"),
        (UPDATE, REFUSED, "held"),
        (UPDATE, STALE, "due"),
        (UPDATE, MISSING, "due"),
        (UPDATE, CredentialsError("no"), "due"),
    ],
)
def test_a_failed_write_is_given_back(write: Write, error: ConnectorError, state: str) -> None:
    verdict = of_outcome(0, write, Outcome(error=error))
    assert verdict is not None
    assert (verdict.state, verdict.error) == (state, type(error).__name__)


@pytest.mark.parametrize("outcome", [None, Outcome("1")])
@pytest.mark.parametrize("write", [CREATE, UPDATE, DELETE])
def test_a_written_entry_needs_no_outcome(write: Write, outcome: Outcome | None) -> None:
    assert of_outcome(0, write, outcome) is None


def test_a_missing_record_counts_as_deleted() -> None:
    assert of_outcome(0, DELETE, Outcome(error=MISSING)) is None


def test_a_busy_system_says_how_long() -> None:
    verdict = of_outcome(3, UPDATE, Outcome(error=BUSY))
    assert verdict is not None
    assert verdict.after == timedelta(seconds=7)


def test_an_always_stale_write_waits_for_a_person() -> None:
    states = []
    for attempts in range(7):
        verdict = of_outcome(attempts, UPDATE, Outcome(error=STALE))
        assert verdict is not None
        states.append((verdict.state, verdict.after > timedelta(0)))
    assert states == [("due", False)] * 5 + [("held", True)] * 2


@pytest.mark.parametrize(
    ("error", "sure"), [(None, False), (AWAY, False), (BUSY, True), (REFUSED, True)]
)
def test_only_an_answer_proves_nothing_happened(error: ConnectorError | None, sure: bool) -> None:
    assert has_not_happened(Outcome(error=error)) is sure
