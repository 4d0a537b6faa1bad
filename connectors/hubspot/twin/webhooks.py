"""Webhooks: subscriptions of one app, signed deliveries from a background thread; off at start."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import heapq
import hmac
import itertools
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import orjson

from connectors.hubspot.twin.account import Account, Event
from connectors.hubspot.twin.error_bodies import invalid
from connectors.hubspot.twin.objects import Row
from connectors.hubspot.twin.property_values import iso
from connectors.kit.faults import journeys

APP_ID = 880_011
MOST_EVENTS = 100
#: Object types that have event names of their own; all others are `object.*`.
_OWN = ("contacts", "companies", "deals", "tickets", "products", "line_items")
_ACTIONS = ("creation", "deletion", "merge", "propertyChange", "restore", "associationChange")
_SOURCES = {"INTEGRATION": "INTEGRATION", "CRM_UI": "CRM_UI"}


@dataclass(slots=True)
class Subscription:
    """What the app wants to hear of."""

    id: int
    event_type: str
    active: bool
    property_name: str | None
    object_type_id: str | None
    created: int
    updated: int

    def shown(self) -> Row:
        """Returns it as the API shows it."""
        row: Row = {
            "id": str(self.id),
            "eventType": self.event_type,
            "active": self.active,
            "createdAt": iso(self.created),
            "updatedAt": iso(self.updated),
        }
        if self.property_name is not None:
            row["propertyName"] = self.property_name
        if self.object_type_id is not None:
            row["objectTypeId"] = self.object_type_id
        return row

    def wants(self, event: Event) -> bool:
        """Returns True if an event is to be delivered for this subscription."""
        kind = event.record.kind
        names = {f"object.{event.action}"} if self.object_type_id == kind.facts.type_id else set()
        if kind.name in _OWN:
            names.add(f"{kind.facts.singular}.{event.action}")
        if not self.active or self.event_type not in names:
            return False
        return event.action != "propertyChange" or self.property_name == event.details["name"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to call the target; no payload is kept."""

    events: int
    attempt: int
    #: None: no answer.
    status: int | None


def signature(secret: str, *, method: str, url: str, body: bytes, timestamp: str) -> str:
    """Returns the v3 signature: HMAC-SHA256 over method, URL, body and time, in base64."""
    text = method.encode() + url.encode() + body + timestamp.encode()
    return base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest()).decode()


@dataclass(slots=True)
class Webhooks:
    """The app's settings, subscriptions and the thread that delivers."""

    account: Account
    client_secret: str = field(repr=False)
    target: str | None = None
    concurrent: int = 10
    created: int = 0
    #: Seconds before the second attempt, the third, ...; as many attempts as entries, plus one.
    retries: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0)
    subscriptions: dict[int, Subscription] = field(default_factory=dict)
    deliveries: deque[Delivery] = field(default_factory=lambda: deque(maxlen=10_000))
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(31_001))
    _event_ids: Iterator[int] = field(default_factory=lambda: itertools.count(900_001))
    #: When it may leave (by the machine's own clock), in which order, and what.
    _waiting: list[tuple[float, int, Row]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)
    _news: threading.Condition = field(default_factory=threading.Condition)
    _thread: threading.Thread | None = None
    _held: int = 0
    _busy: bool = False
    _stopped: bool = False

    # -- events ------------------------------------------------------------------------------------

    def hear(self, event: Event) -> None:
        """Queues an event for every subscription that wants it."""
        if self.target is None:
            return
        for subscription in list(self.subscriptions.values()):
            if subscription.wants(event):
                message, now = self._message(subscription, event), time.monotonic()
                dice = self.account.data_faults.dice
                with self._news:
                    for wait in journeys(dice.chances, dice.roll):
                        heapq.heappush(self._waiting, (now + wait, next(self._order), message))
                    self._news.notify_all()

    def _message(self, subscription: Subscription, event: Event) -> Row:
        record = event.record
        message: Row = {
            "eventId": next(self._event_ids),
            "subscriptionId": subscription.id,
            "portalId": self.account.settings.portal_id,
            "appId": APP_ID,
            "occurredAt": event.at,
            "subscriptionType": subscription.event_type,
            "attemptNumber": 0,
            "objectId": record.id,
            "changeSource": _SOURCES.get(event.source.type, event.source.type),
            "sourceId": event.source.id,
        }
        if subscription.object_type_id is not None:
            message["objectTypeId"] = subscription.object_type_id
        return {**message, **_details(event)}

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Holds deliveries back while one call is answered, so its events leave in one batch."""
        with self._news:
            self._held += 1
        try:
            yield
        finally:
            with self._news:
                self._held -= 1
                self._news.notify_all()

    # -- deliveries --------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the delivering thread."""
        self._thread = threading.Thread(target=self._deliver, name="twin-webhooks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it; what is still waiting is dropped."""
        with self._news:
            self._stopped = True
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def flush(self, seconds: float = 10.0) -> bool:
        """Waits until everything is delivered or given up; False when that took too long."""
        with self._news:
            return self._news.wait_for(lambda: not (self._waiting or self._busy), seconds)

    def _deliver(self) -> None:
        with contextlib.ExitStack() as stack:
            client: httpx.Client | None = None
            while (batch := self._next()) is not None:
                client = client or stack.enter_context(httpx.Client(timeout=5.0))
                self._send(client, batch)
                with self._news:
                    self._busy = False
                    self._news.notify_all()

    def _next(self) -> list[Row] | None:
        with self._news:
            while not self._stopped:
                wait = None if self._held or not self._waiting else self._first_in()
                if wait is not None and wait <= 0:
                    self._busy = True
                    return self._due()
                self._news.wait(wait)
        return None

    def _first_in(self) -> float:
        return self._waiting[0][0] - time.monotonic()

    def _due(self) -> list[Row]:
        batch: list[Row] = []
        while self._waiting and len(batch) < MOST_EVENTS and self._first_in() <= 0:
            batch.append(heapq.heappop(self._waiting)[2])
        return batch

    def _send(self, client: httpx.Client, batch: list[Row]) -> None:
        for attempt, pause in enumerate((*self.retries, None)):
            body = orjson.dumps([{**message, "attemptNumber": attempt} for message in batch])
            status = self._post(client, body)
            self.deliveries.append(Delivery(len(batch), attempt, status))
            if status is not None and 200 <= status < 300:
                return
            if pause is None:
                return
            with self._news:
                if self._news.wait_for(lambda: self._stopped, pause):
                    return

    def _post(self, client: httpx.Client, body: bytes) -> int | None:
        target = self.target
        if target is None:
            return None
        stamp = str(int(time.time() * 1000))  # receivers compare with real time
        old = hashlib.sha256(self.client_secret.encode() + body).hexdigest()
        new = signature(self.client_secret, method="POST", url=target, body=body, timestamp=stamp)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "HubSpot Connect 2.0 (twin)",
            "X-HubSpot-Signature": old,
            "X-HubSpot-Signature-Version": "v1",
            "X-HubSpot-Signature-v3": new,
            "X-HubSpot-Request-Timestamp": stamp,
        }
        try:
            return client.post(target, content=body, headers=headers).status_code
        except httpx.HTTPError:
            return None

    # -- configuration -----------------------------------------------------------------------------

    def subscribe(
        self,
        event_type: str,
        *,
        property_name: str | None = None,
        object_type_id: str | None = None,
        active: bool = True,
    ) -> Subscription:
        """Adds a subscription. Raises: Refusal (400)."""
        kind, _, action = event_type.partition(".")
        singulars = {self.account.catalogue.kinds[name].facts.singular for name in _OWN}
        if action not in _ACTIONS or kind not in singulars | {"object"}:
            raise invalid(f"{event_type} is not a valid eventType")
        if action == "propertyChange" and not property_name:
            raise invalid("propertyName is required for propertyChange subscriptions")
        if kind == "object" and not object_type_id:
            raise invalid("objectTypeId is required for object subscriptions")
        number, now = next(self._numbers), self.account.clock.ms()
        made = Subscription(number, event_type, active, property_name, object_type_id, now, now)
        self.subscriptions[number] = made
        return made

    def subscribe_to(self, event: str) -> Subscription:
        """Adds a subscription from one text. Raises: Refusal (400).

        Such as `company.creation`, `company.propertyChange:name`,
        `object.propertyChange:hs_order_name@0-123`.
        """
        rest, _, type_id = event.partition("@")
        name, _, property_name = rest.partition(":")
        return self.subscribe(
            name, property_name=property_name or None, object_type_id=type_id or None
        )


def _details(event: Event) -> Row:
    if event.action == "propertyChange":
        return {
            "propertyName": event.details["name"],
            "propertyValue": event.details["value"],
        }
    flags = {"creation": "CREATED", "deletion": "DELETED", "restore": "NEW"}
    if event.action in flags:
        return {"changeFlag": flags[event.action]}
    if event.action == "merge":
        return {**event.details, "objectId": event.details["primaryObjectId"]}
    return dict(event.details)
