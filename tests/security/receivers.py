"""A hub whose receivers accept deliveries of two kinds of systems, for hostile senders."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
from sqlalchemy import func, select
from starlette.applications import Starlette

from connectors.hubspot.connector import HubSpotConnector
from connectors.kit.budget import Budget
from connectors.kit.signatures import sign
from connectors.memory import MemoryConnector, MemorySystem
from hub.flows.settings import FlowSettings
from hub.store import tables
from hub.store.engine import Store
from hub.sync.context import Connection, Hub
from hub.web.receivers import create_app
from hub.web.webhooks import ReceiverConfig

SECRET = "CANARY-webhook-secret-5f1d"
PUBLIC = "https://tulay.example"


@dataclass(frozen=True)
class Letter:
    """One delivery, as it goes over the wire."""

    path: str
    headers: Mapping[str, str]
    body: bytes


def from_hubspot(body: bytes, *, at: datetime | None = None, secret: str = SECRET) -> Letter:
    """Makes a genuine delivery of HubSpot."""
    path = "/webhooks/crm"
    stamp = str(int((at or datetime.now(UTC)).timestamp() * 1000))
    source = b"POST" + f"{PUBLIC}{path}".encode() + body + stamp.encode()
    signature = base64.b64encode(hmac.new(secret.encode(), source, hashlib.sha256).digest())
    headers = {
        "content-type": "application/json",
        "x-hubspot-signature-v3": signature.decode(),
        "x-hubspot-request-timestamp": stamp,
    }
    return Letter(path, headers, body)


def from_memory(body: bytes, *, at: datetime | None = None, secret: str = SECRET) -> Letter:
    """Makes a genuine delivery of the memory system."""
    stamp = str(int((at or datetime.now(UTC)).timestamp()))
    headers = {
        "content-type": "application/json",
        "x-memory-timestamp": stamp,
        "x-memory-signature": sign(secret, stamp.encode() + b"." + body),
    }
    return Letter("/webhooks/erp", headers, body)


def event(key: int) -> bytes:
    """Returns the body of a delivery about one company of HubSpot."""
    event = {"subscriptionType": "company.propertyChange", "objectId": key, "portalId": 1}
    return orjson.dumps([event | {"occurredAt": key, "propertyName": "name"}])


def app_over(store: Store) -> Starlette:
    """Returns the receivers of a hub with a HubSpot and a memory connection."""
    settings = {"token": "CANARY-token-77", "webhook_secret": SECRET}
    crm = HubSpotConnector({"base_url": "http://127.0.0.1:9", **settings}, Budget())
    erp = MemoryConnector.of(MemorySystem("erp"), webhook_secret=SECRET)
    made = {
        "crm": Connection("crm", "hubspot", "crm", crm, {}),
        "erp": Connection("erp", "memory", "erp", erp, {}),
    }
    hub = Hub(store, made, {}, {}, FlowSettings())
    receivers = ReceiverConfig({"crm": crm, "erp": erp}, frozenset(made), public_url=PUBLIC)
    return create_app(hub, receivers)


def deliver(app: Starlette, *letters: Letter) -> list[httpx.Response]:
    """Sends deliveries at once; returns their answers."""

    async def run() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as http:
            calls = (http.post(n.path, content=n.body, headers=dict(n.headers)) for n in letters)
            return list(await asyncio.gather(*calls))

    return asyncio.run(run())


def rows(store: Store) -> int:
    """Returns the number of stored notifications."""
    with store.read() as tx:
        found: Any = tx.execute(select(func.count()).select_from(tables.inbox)).scalar_one()
    return int(found)
