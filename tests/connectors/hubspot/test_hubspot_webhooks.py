"""Webhooks: whether they are genuine and recent, and which records they name."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hubspot.utils.signature import Signature
from hypothesis import given
from hypothesis import strategies as st

from connectors.hubspot.webhooks import notifications, verify
from connectors.kit.contract import Notification, Request
from connectors.kit.errors import ContractError

SECRET = "app-secret"
NOW = datetime(2026, 10, 1, 10, tzinfo=UTC)
URL = "https://hub.example/hooks/crm?kind=a%3Ab%20c"
SIGNED_URL = "https://hub.example/hooks/crm?kind=a:b%20c"


def delivery(
    body: bytes = b"[]", *, signed: str = SIGNED_URL, at: datetime = NOW, secret: str = SECRET
) -> Request:
    stamp = str(int(at.timestamp() * 1000))
    source = b"POST" + signed.encode() + body + stamp.encode()
    signature = base64.b64encode(hmac.new(secret.encode(), source, hashlib.sha256).digest())
    headers = {
        "x-hubspot-signature-v3": signature.decode(),
        "x-hubspot-request-timestamp": stamp,
    }
    return Request("POST", URL, headers, body, NOW)


@pytest.mark.parametrize("signed", [SIGNED_URL, URL])
def test_a_genuine_delivery_passes(signed: str) -> None:
    assert verify(delivery(signed=signed), SECRET)


def test_the_vendors_own_client_agrees() -> None:
    request = delivery(b'[{"objectId":1}]')
    theirs = Signature.get_signature(
        SECRET,
        request.body.decode(),
        "v3",
        SIGNED_URL,
        "POST",
        request.headers["x-hubspot-request-timestamp"],
    )
    assert theirs == request.headers["x-hubspot-signature-v3"]
    assert verify(request, SECRET)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_delivery_from_another_time_is_refused(minutes: int) -> None:
    assert not verify(delivery(at=NOW + timedelta(minutes=minutes)), SECRET)


@pytest.mark.parametrize("secret", ["", "other"])
def test_a_wrong_secret_verifies_nothing(secret: str) -> None:
    assert not verify(delivery(), secret)


@pytest.mark.parametrize("stamp", ["", "soon", "9" * 40, "-1"])
def test_a_strange_time_stamp_is_refused(stamp: str) -> None:
    request = delivery()
    headers = {**request.headers, "x-hubspot-request-timestamp": stamp}
    assert not verify(Request("POST", URL, headers, b"[]", NOW), SECRET)


@given(body=st.binary(min_size=1))
def test_another_body_is_refused(body: bytes) -> None:
    headers = delivery(b"").headers
    assert not verify(Request("POST", URL, headers, body, NOW), SECRET)


@pytest.mark.parametrize(
    ("version", "source"), [("v1", b"app-secret[]"), ("v2", f"app-secretPOST{URL}[]".encode())]
)
def test_old_signatures_need_a_setting(version: str, source: bytes) -> None:
    """Old signatures are accepted only where the settings allow them."""
    headers = {
        "x-hubspot-signature": hashlib.sha256(source).hexdigest(),
        "x-hubspot-signature-version": version,
    }
    request = Request("POST", URL, headers, b"[]", NOW)
    assert not verify(request, SECRET)
    assert verify(request, SECRET, old_versions=True)
    assert not verify(Request("POST", URL, headers, b"[1]", NOW), SECRET, old_versions=True)


def test_an_old_signature_excuses_no_wrong_one() -> None:
    """A valid old signature does not excuse a wrong new one."""
    headers = {
        **delivery(secret="other").headers,
        "x-hubspot-signature": hashlib.sha256(b"app-secret[]").hexdigest(),
    }
    assert not verify(Request("POST", URL, headers, b"[]", NOW), SECRET, old_versions=True)


# -- nudges


def event(kind: str, **more: Any) -> dict[str, Any]:
    return {
        "eventId": 1,
        "subscriptionId": 2,
        "portalId": 3,
        "occurredAt": 1790848800000,
        "subscriptionType": kind,
        "attemptNumber": 0,
        "objectId": 5,
        **more,
    }


def read(*events: dict[str, Any]) -> list[Notification]:
    return notifications(orjson.dumps(list(events)))


def notified(*events: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    return [(one.stream, one.key, one.into) for one in read(*events)]


@pytest.mark.parametrize(
    ("kind", "more", "stream"),
    [
        ("company.creation", {}, "companies"),
        ("contact.propertyChange", {"propertyName": "email"}, "contacts"),
        ("contact.privacyDeletion", {}, "contacts"),
        ("deal.deletion", {}, "deals"),
        ("product.restore", {}, "products"),
        ("object.propertyChange", {"objectTypeId": "0-123"}, "orders"),
        ("object.creation", {"objectTypeId": "0-53"}, "invoices"),
        ("object.deletion", {"objectTypeId": "0-27"}, "tasks"),
        ("object.creation", {"objectTypeId": "0-2"}, "companies"),
    ],
)
def test_an_event_points_at_its_record(kind: str, more: dict[str, Any], stream: str) -> None:
    assert notified(event(kind, **more)) == [(stream, "5", None)]


def test_other_events_are_left_out() -> None:
    assert notified(event("ticket.creation"), event("object.creation", objectTypeId="2-77")) == []


def test_a_merge_names_its_survivor() -> None:
    """A merge notifies of the survivor, and redirects the merged records to it."""
    merge = event("company.merge", primaryObjectId=1, mergedObjectIds=[2], newObjectId=3)
    assert notified(merge) == [
        ("companies", "3", None),
        ("companies", "1", "3"),
        ("companies", "2", "3"),
    ]


def test_a_merge_without_new_id_keeps_the_primary() -> None:
    merge = event("contact.merge", primaryObjectId=1, mergedObjectIds=[1, 2])
    assert notified(merge) == [("contacts", "1", None), ("contacts", "2", "1")]


def test_an_association_notifies_its_record() -> None:
    """A changed association notifies of the record whose stream contains it."""
    change = event(
        "contact.associationChange",
        associationType="CONTACT_TO_COMPANY",
        fromObjectId=7,
        toObjectId=8,
    )
    assert notified(change) == [("contacts", "7", None)]
    generic = event(
        "object.associationChange",
        objectTypeId="0-3",
        fromObjectTypeId="0-1",
        toObjectTypeId="0-3",
        fromObjectId=7,
        toObjectId=9,
    )
    assert notified(generic) == [("deals", "9", None)]


def test_a_repeated_event_has_the_same_id() -> None:
    first = read(event("deal.propertyChange", propertyName="amount"))
    again = read(event("deal.propertyChange", propertyName="amount", attemptNumber=3, eventId=99))
    assert [one.event_id for one in first] == [one.event_id for one in again]


@pytest.mark.parametrize(
    "more",
    [
        {"propertyName": "name"},
        {"objectId": 6},
        {"occurredAt": 1790848800001},
        {"subscriptionId": 9},
        {"portalId": 9},
        {"changeFlag": "NEW"},
    ],
)
def test_different_events_have_different_ids(more: dict[str, Any]) -> None:
    assert len(read(event("deal.creation"), event("deal.creation", **more))) == 2


def test_one_event_gives_one_notification() -> None:
    """One delivery does not notify twice of one event."""
    assert len(read(event("deal.creation"), event("deal.creation"))) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{}",
        b"[1]",
        b'[{"objectId": 5}]',
        b'[{"subscriptionType": "deal.creation"}]',
        b'[{"subscriptionType": "deal.merge", "newObjectId": 1, "mergedObjectIds": 2}]',
        b'[{"subscriptionType": "deal.merge", "newObjectId": 1, "mergedObjectIds": [[]]}]',
        b'[{"subscriptionType": "deal.merge", "newObjectId": 1, "mergedObjectIds": [{}, 2]}]',
        b'[{"subscriptionType": "deal.creation", "objectId": false}]',
    ],
)
def test_an_unexpected_body_is_refused(body: bytes) -> None:
    with pytest.raises(ContractError):
        notifications(body)
