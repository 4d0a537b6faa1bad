"""Every error has one recovery: what to do next."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from connectors.kit import errors as connector
from hub import errors as hub
from hub.model.recovery import (
    Halt,
    Pause,
    Quarantine,
    Recovery,
    Refresh,
    Restart,
    Retry,
    pause,
    recovery,
)
from mappings.kit import errors as mapping

PATH = Path("account.yaml")
ANSWERS: list[tuple[Exception, Recovery]] = [
    (connector.ConnectorError("?"), Retry(timedelta(seconds=10))),
    (connector.UnavailableError("down"), Retry(timedelta(seconds=10))),
    (connector.RateLimitedError("slow", retry_after=timedelta(3)), Retry(timedelta(3))),
    (connector.RateLimitedError("slow"), Retry(timedelta(seconds=10))),
    (connector.CredentialsError("no"), Pause()),
    (connector.CursorExpiredError("old"), Restart()),
    (connector.ContractError("odd"), Pause()),
    (connector.RecordError("bad", stream="deals", key="1"), Quarantine()),
    (connector.RecordMissingError("gone", stream="deals", key="1"), Refresh()),
    (connector.RecordRejectedError("no", stream="deals", fields={"name": "long"}), Quarantine()),
    (connector.RecordStaleError("late", stream="deals", key="1"), Refresh()),
    (mapping.MappingError("?"), Halt()),
    (mapping.MappingFileError("unknown lens", path=PATH, line=3), Halt()),
    (mapping.LensError("expected a date", path="due_date"), Quarantine()),
    (hub.HubError("?"), Halt()),
    (hub.SettingsError("no such system"), Halt()),
    (hub.UnknownError("no such run"), Halt()),
    (hub.DecisionError("cannot be decided so"), Halt()),
    (hub.LinkError("two claim one"), Quarantine()),
    (ZeroDivisionError(), Halt()),
]


@pytest.mark.parametrize(
    ("error", "answer"), ANSWERS, ids=[type(error).__name__ for error, _ in ANSWERS]
)
def test_every_error_has_its_answer(error: Exception, answer: Recovery) -> None:
    assert recovery(error, attempts=1) == answer


def test_no_error_class_is_forgotten() -> None:
    def below(cls: type[Exception]) -> set[type[Exception]]:
        return {cls}.union(*(below(c) for c in cls.__subclasses__()))

    rooms = (connector, mapping, hub)
    trees = (connector.ConnectorError, mapping.MappingError, hub.HubError)
    known = {c for t in trees for c in below(t) if c.__module__ in {r.__name__ for r in rooms}}
    assert known == {type(error) for error, _ in ANSWERS} - {ZeroDivisionError}


def test_pauses_double_up_to_an_hour() -> None:
    pauses = [pause(n) for n in range(40)]
    assert pauses[:3] == [timedelta(seconds=s) for s in (5, 10, 20)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == timedelta(hours=1)
