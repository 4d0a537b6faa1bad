"""Webhooks: verifies deliveries, and tells which records to fetch.

Accepts only signatures of version 3 by default: older ones can be replayed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import orjson

from connectors.hubspot.vocabulary import BY_EVENT, BY_TYPE_ID, STREAMS
from connectors.kit.contract import Notification, Request
from connectors.kit.errors import ContractError
from connectors.kit.signatures import genuine, recent

#: How old a delivery may be, and how far in the future (clocks differ).
TOLERANCE = timedelta(minutes=5)

# quirk(hubspot): the signed address has these escapes decoded and no others (request validation
# page); senders that sign the address as it is are accepted as well.
_DECODED = re.compile(r"%(?:3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)

#: The fields that identify an event when it is delivered again.
IDENTITY = (
    "portalId",
    "subscriptionId",
    "subscriptionType",
    "objectTypeId",
    "objectId",
    "occurredAt",
    "propertyName",
    "changeFlag",
    "fromObjectId",
    "toObjectId",
    "associationType",
    "associationTypeId",
    "associationRemoved",
)


def verify(request: Request, secret: str, *, old_versions: bool = False) -> bool:
    """Checks in constant time that a delivery is genuine and recent; False without a secret."""
    if not secret:
        return False
    if "x-hubspot-signature-v3" in request.headers:
        return _verify_v3(request, secret)
    return old_versions and _verify_old(request, secret)


def _verify_v3(request: Request, secret: str) -> bool:
    stamp = request.headers.get("x-hubspot-request-timestamp", "")
    if not stamp.isdecimal() or len(stamp) > 15:
        return False
    sent_at = datetime.fromtimestamp(int(stamp) / 1000, tz=UTC)
    if not recent(sent_at, request.received_at, tolerance=TOLERANCE):
        return False
    signature = request.headers["x-hubspot-signature-v3"]
    addresses = (signed_url(request.url), request.url)
    checks = [
        genuine(secret, _source(request, url, stamp), signature, encoding="base64")
        for url in addresses
    ]
    return any(checks)


def signed_url(url: str) -> str:
    """Returns an address as HubSpot signs it.

    >>> signed_url("https://hub.example/in?a=x%3Ay%20z")
    'https://hub.example/in?a=x:y%20z'
    """
    return _DECODED.sub(lambda escape: unquote(escape.group()), url)


def _source(request: Request, url: str, stamp: str) -> bytes:
    return f"{request.method.upper()}{url}".encode() + request.body + stamp.encode()


def _verify_old(request: Request, secret: str) -> bool:
    version = request.headers.get("x-hubspot-signature-version", "v1").lower()
    source = secret.encode()
    if version == "v2":
        source += f"{request.method.upper()}{request.url}".encode()
    wanted = hashlib.sha256(source + request.body).hexdigest()
    given = request.headers.get("x-hubspot-signature", "").strip().lower()
    return hmac.compare_digest(wanted.encode(), given.encode())


def notifications(body: bytes) -> list[Notification]:
    """Reads a verified delivery; events about unknown streams are left out.

    Raises: ContractError when it is not a list of events.
    """
    try:
        events = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ContractError("a HubSpot webhook is not valid JSON") from error
    if not isinstance(events, list):
        raise ContractError("a HubSpot webhook is not a list of events")
    found = [notification for event in events for notification in _notifications(event)]
    return list({notification.event_id: notification for notification in found}.values())


def _notifications(event: Any) -> Iterator[Notification]:
    if not isinstance(event, dict) or not isinstance(event.get("subscriptionType"), str):
        raise ContractError("a HubSpot webhook has an event without subscriptionType")
    kind, _, what = event["subscriptionType"].partition(".")
    stream = _stream(kind, event.get("objectTypeId"))
    if what == "associationChange":
        yield from _ends(event, stream)
    elif stream is None:
        return
    elif what == "merge":
        yield from _merge(event, stream)
    else:
        yield _notification(event, stream, event.get("objectId"))


def _stream(kind: str, type_id: Any) -> str | None:
    if kind == "object":
        return BY_TYPE_ID.get(str(type_id))
    return BY_EVENT.get(kind)


def _merge(event: dict[str, Any], stream: str) -> Iterator[Notification]:
    # quirk(hubspot): a merge may give the survivor a new id, so that the primary is merged, too.
    into = event.get("newObjectId") or event.get("primaryObjectId") or event.get("objectId")
    merged = event.get("mergedObjectIds") or []
    if not isinstance(merged, list):
        raise ContractError("a HubSpot merge event has no list of mergedObjectIds")
    yield _notification(event, stream, into)
    told: dict[str, Notification] = {}
    for key in (event.get("primaryObjectId"), *merged):
        if key is not None and key != into:
            notification = _notification(event, stream, key, into=into)
            told.setdefault(notification.key, notification)
    yield from told.values()


def _ends(event: dict[str, Any], stream: str | None) -> Iterator[Notification]:
    """Yields both ends of a changed association, where the records show it."""
    words = str(event.get("associationType") or "").upper().split("_TO_")
    others = [BY_EVENT.get(word.lower()) for word in words]
    start = BY_TYPE_ID.get(str(event.get("fromObjectTypeId"))) or stream or others[0]
    end = BY_TYPE_ID.get(str(event.get("toObjectTypeId"))) or (others[1] if others[1:] else None)
    for one, key, other in (
        (start, event.get("fromObjectId"), end),
        (end, event.get("toObjectId"), start),
    ):
        if one is not None and (other is None or other in STREAMS[one].associations):
            yield _notification(event, one, key)


def _notification(
    event: dict[str, Any], stream: str, key: Any, *, into: Any = None
) -> Notification:
    if isinstance(key, bool) or not isinstance(key, int | str) or key == "":
        raise ContractError(f"a HubSpot webhook about {stream} names no record")
    # quirk(hubspot): eventId is not unique, and a second delivery may carry another one.
    facts = [event.get(name) for name in IDENTITY]
    source = orjson.dumps([facts, stream, str(key)])
    return Notification(
        stream=stream,
        key=str(key),
        event_id=hashlib.blake2b(source, digest_size=16).hexdigest(),
        into=str(into) if into is not None else None,
    )
