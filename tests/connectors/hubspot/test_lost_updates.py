"""HubSpot refuses no stale write: an edit in the gap before ours is reported afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connectors.hubspot.connector import HubSpotConnector
from connectors.hubspot.twin import Twin
from connectors.kit.contract import Update
from connectors.kit.errors import UnavailableError

from .test_against_twin import hubspot, ready, twin

__all__ = ["hubspot", "ready", "twin"]


def in_the_gap(connector: HubSpotConnector, act: Callable[[], Any]) -> None:
    """Lets a user act after the connector's last read and before its write."""
    update = connector._client.batch_update

    def late(stream: str, inputs: Any) -> Any:
        act()
        return update(stream, inputs)

    connector._client.batch_update = late  # type: ignore[method-assign]


def record(connector: HubSpotConnector, key: str) -> Any:
    return connector.fetch("companies", [key]).records[0]


@pytest.fixture
def key(twin: Twin, ready: HubSpotConnector) -> str:
    made = twin.create("companies", name="Known", phone="1", city="Bonn")
    twin.edit("companies", made, name="Known better")
    return made


def write(connector: HubSpotConnector, key: str, **values: str) -> Any:
    before = record(connector, key)
    (outcome,) = connector.write("companies", [Update(key, {"properties": values}, before.version)])
    return outcome


def test_an_edit_in_the_gap_is_reported(twin: Twin, ready: HubSpotConnector, key: str) -> None:
    in_the_gap(ready, lambda: twin.edit("companies", key, name="Typed", city="Köln"))
    outcome = write(ready, key, name="Ours", phone="2")
    assert outcome.error is None
    assert outcome.overwritten == {"properties": {"name": "Typed"}}
    assert "Typed" not in repr(outcome)
    shown = record(ready, key).payload["properties"]
    assert (shown["name"], shown["phone"], shown["city"]) == ("Ours", "2", "Köln")


def test_the_last_update_counts_even_if_blank(
    twin: Twin, ready: HubSpotConnector, key: str
) -> None:
    """Of several values lost in the gap the last counts, even if it is blank."""

    def act() -> None:
        twin.edit("companies", key, name="First try", phone="9")
        twin.edit("companies", key, name="Typed", phone="")

    in_the_gap(ready, act)
    outcome = write(ready, key, name="Ours", phone="2")
    assert outcome.overwritten == {"properties": {"name": "Typed", "phone": ""}}


@pytest.mark.parametrize("typed", [{}, {"name": "Ours"}, {"city": "Köln"}])
def test_nothing_is_reported_if_nothing_was_lost(
    twin: Twin, ready: HubSpotConnector, key: str, typed: dict[str, str]
) -> None:
    in_the_gap(ready, lambda: typed and twin.edit("companies", key, **typed))
    outcome = write(ready, key, name="Ours")
    assert (outcome.error, outcome.overwritten) == (None, None)


def test_an_edit_after_our_write_is_not_lost(twin: Twin, ready: HubSpotConnector, key: str) -> None:
    update = ready._client.batch_update

    def early(stream: str, inputs: Any) -> Any:
        answer = update(stream, inputs)
        twin.edit("companies", key, name="Typed")
        return answer

    ready._client.batch_update = early  # type: ignore[method-assign]
    outcome = write(ready, key, name="Ours")
    assert (outcome.error, outcome.overwritten) == (None, None)
    assert record(ready, key).payload["properties"]["name"] == "Typed"


def test_an_unverified_write_is_not_done(twin: Twin, ready: HubSpotConnector, key: str) -> None:
    """A write whose history could not be read is not reported as done."""
    in_the_gap(ready, lambda: twin.faults.add("down", "POST */batch/read"))
    outcome = write(ready, key, name="Ours")
    assert isinstance(outcome.error, UnavailableError)
    twin.faults.clear()
    assert record(ready, key).payload["properties"]["name"] == "Ours"


def test_many_updates_are_checked_in_batches(twin: Twin, ready: HubSpotConnector) -> None:
    """The history of hundreds of updates is read in batches."""
    keys = [twin.create("companies", name=f"Company {n}") for n in range(70)]
    for one in keys:
        twin.edit("companies", one, name="Known")
    in_the_gap(ready, lambda: [twin.edit("companies", one, name=f"T{one}") for one in keys])
    versions = {one.key: one.version for one in ready.fetch("companies", keys).records}
    writes = [Update(one, {"properties": {"name": "Ours"}}, versions[one]) for one in keys]
    outcomes = ready.write("companies", writes)
    overwritten = [(o.overwritten or {}).get("properties") for o in outcomes]
    assert overwritten == [{"name": f"T{one}"} for one in keys]
