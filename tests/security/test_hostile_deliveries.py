"""Forged, replayed, truncated, oversized, mislabelled and tricky deliveries are refused, and
nothing is stored."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.kit import signatures
from hub.store.engine import Store
from tests.security.receivers import (
    SECRET,
    Letter,
    app_over,
    deliver,
    event,
    from_hubspot,
    from_memory,
    rows,
)

MEMORY_EVENT = b'{"events": [{"id": "1", "stream": "companies", "key": "7"}]}'
GENUINE: dict[str, Callable[[], Letter]] = {
    "hubspot": lambda: from_hubspot(event(7)),
    "memory": lambda: from_memory(MEMORY_EVENT),
}
SIGNATURES = {"hubspot": "x-hubspot-signature-v3", "memory": "x-memory-signature"}
STAMPS = {"hubspot": "x-hubspot-request-timestamp", "memory": "x-memory-timestamp"}
#: One hub for many drawn deliveries: none of them may be stored.
MANY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

both = pytest.mark.parametrize("system", ["hubspot", "memory"])


@pytest.fixture
def app(store: Store) -> Any:
    return app_over(store)


def headed(delivery: Letter, **headers: str) -> Letter:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return replace(delivery, headers={**delivery.headers, **named})


@both
def test_a_replayed_delivery_is_stored_once(app: Any, store: Store, system: str) -> None:
    """A genuine delivery is stored once, however often it is replayed."""
    delivery = GENUINE[system]()
    answers = deliver(app, delivery, delivery, delivery)
    assert [a.status_code for a in answers] == [202, 202, 202]
    assert rows(store) == 1
    assert [a.status_code for a in deliver(app, delivery)] == [202]
    assert rows(store) == 1


@both
@MANY
@given(data=st.data())
def test_a_changed_delivery_is_refused(
    app: Any, store: Store, system: str, data: st.DataObject
) -> None:
    delivery = GENUINE[system]()
    position = data.draw(st.integers(0, len(delivery.body) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != delivery.body[position]))
    changed = bytearray(delivery.body)
    changed[position] = other
    cut = delivery.body[: data.draw(st.integers(0, len(delivery.body) - 1))]
    added = delivery.body + data.draw(st.binary(min_size=1, max_size=9))
    forged = [replace(delivery, body=body) for body in (bytes(changed), cut, added)]
    assert {a.status_code for a in deliver(app, *forged)} <= {400, 401}
    assert rows(store) == 0


@both
@MANY
@given(text=st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_categories=("Cc",))))
def test_no_other_signature_or_time_stamp_will_do(
    app: Any, store: Store, system: str, text: str
) -> None:
    delivery = GENUINE[system]()
    true = delivery.headers[SIGNATURES[system]]
    signatures_ = [text, true[:-1], true + "A", true[::-1], "", f"{true},{true}", f"sha256={true}"]
    stamps = [text, "-1", "1e9", "0x10", "9" * 400, "", f" {delivery.headers[STAMPS[system]]}0"]
    forged = [
        *(_with(delivery, SIGNATURES[system], value) for value in signatures_ if value != true),
        *(_with(delivery, STAMPS[system], value) for value in stamps),
    ]
    assert {a.status_code for a in deliver(app, *forged)} == {401}
    assert rows(store) == 0


def _with(delivery: Letter, name: str, value: str) -> Letter:
    headers: Any = {**delivery.headers, name: value.encode("latin-1")}
    return replace(delivery, headers=headers)


@both
@pytest.mark.parametrize("minutes", [-60 * 24 * 400, -6, 6, 60])
def test_old_and_future_deliveries_are_refused(
    app: Any, store: Store, system: str, minutes: int
) -> None:
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    made = from_hubspot(event(1), at=at) if system == "hubspot" else from_memory(b"{}", at=at)
    assert deliver(app, made)[0].status_code == 401
    assert rows(store) == 0


def test_a_signature_is_valid_for_one_connection(app: Any, store: Store) -> None:
    crossed = [
        replace(from_hubspot(event(1)), path="/webhooks/erp"),
        replace(from_memory(MEMORY_EVENT), path="/webhooks/crm"),
        replace(from_hubspot(event(1)), path="/webhooks/crm?x=1"),
    ]
    assert {a.status_code for a in deliver(app, *crossed)} == {401}
    tricky = ["/webhooks/CRM", "/webhooks/crm%00", "/webhooks/%63rm/", "/webhooks/ｃｒｍ"]
    answers = deliver(app, *(replace(from_hubspot(event(1)), path=path) for path in tricky))
    assert {a.status_code for a in answers} == {404}
    assert rows(store) == 0


@both
def test_a_sender_cannot_choose_an_old_signature(app: Any, system: str) -> None:
    delivery = GENUINE[system]()
    without = {k: v for k, v in delivery.headers.items() if k != SIGNATURES[system]}
    downgraded = headed(
        replace(delivery, headers=without),
        x_hubspot_signature_version="v1",
        x_hubspot_signature=hmac.new(b"", SECRET.encode() + delivery.body, "sha256").hexdigest(),
    )
    assert deliver(app, downgraded)[0].status_code == 401


@both
@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "a/jsonp"],
)
def test_only_json_is_read(app: Any, store: Store, system: str, kind: str) -> None:
    answer = deliver(app, headed(GENUINE[system](), content_type=kind))[0]
    assert answer.status_code == 400
    assert rows(store) == 0


def test_ten_megabytes_are_refused_unread(app: Any, store: Store) -> None:
    whole = from_hubspot(b"[" + b" " * 10_000_000 + b"]")
    assert deliver(app, whole)[0].status_code == 413
    assert rows(store) == 0


#: Text that has confused other programs: overlong, reversed, zero-width, look-alikes, escapes.
_TRICKY = [
    "\u202e7\u202c",
    "\u200b7",
    "７",
    "7\u0000",
    "7; DROP TABLE inbox",
    "../../etc/passwd",
    "\ufeff7",
    "🧨" * 60,
    "a" * 201,
]


@pytest.mark.parametrize("key", _TRICKY)
def test_tricky_keys_are_stored_raw_or_refused(app: Any, store: Store, key: str) -> None:
    body = orjson.dumps({"events": [{"id": "1", "stream": "companies", "key": key}]})
    answer = deliver(app, from_memory(body))[0]
    assert answer.status_code in (202, 400)
    assert rows(store) == (answer.status_code == 202)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
WORDS = st.sampled_from(["company.creation", "contact.merge", "object.associationChange", "x"])
NUMBERS = ("objectId", "objectTypeId", "mergedObjectIds", "newObjectId", "fromObjectId")
EVENTS = st.fixed_dictionaries(
    {"subscriptionType": WORDS},
    optional=dict.fromkeys(NUMBERS, JSON),
)


@MANY
@given(content=JSON | st.lists(EVENTS, max_size=3))
def test_any_signed_json_gets_a_known_answer(app: Any, content: Any) -> None:
    """Whatever JSON a system signs, the status of the answer is one of ours."""
    try:
        body = orjson.dumps(content)
    except (TypeError, orjson.JSONEncodeError):
        body = b"1"
    answers = deliver(app, from_hubspot(body), from_memory(body))
    assert {a.status_code for a in answers} <= {202, 400}


@both
def test_signatures_are_compared_in_constant_time(
    app: Any, system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    constant = hmac.compare_digest

    def watched(ours: bytes, theirs: bytes) -> bool:
        compared.append((ours, theirs))
        return constant(ours, theirs)

    monkeypatch.setattr(signatures.hmac, "compare_digest", watched)  # type: ignore[attr-defined]
    delivery = GENUINE[system]()
    true = delivery.headers[SIGNATURES[system]]
    first, last = ("1" if end == "0" else "0" for end in (true[0], true[-1]))
    for wrong in (first + true[1:], true[:-1] + last, first * len(true)):
        del compared[:]
        assert deliver(app, headed(delivery, **{SIGNATURES[system]: wrong}))[0].status_code == 401
        assert len(compared) == (2 if system == "hubspot" else 1)
        assert all(len(ours) == len(theirs) for ours, theirs in compared)
