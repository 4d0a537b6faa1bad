"""Assembles the receivers. Knows no system, makes no remote call, needs no Redis."""

from __future__ import annotations

import logging
import time
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.store.engine import Store
from hub.sync.context import Hub
from hub.web.answers import broken, refused
from hub.web.health import Health
from hub.web.inbox import Inbox
from hub.web.metrics import registry_of
from hub.web.webhooks import ReceiverConfig, Webhooks, count_from_zero
from hub.web.zeros import Configured

log = logging.getLogger("tulay.access")


def create_app(hub: Hub, receivers: ReceiverConfig) -> Starlette:
    """Returns the ASGI application for webhooks, health and metrics."""
    registry, deliveries = registry_of(hub.store, hub.clock, Configured.of(hub))
    count_from_zero(deliveries, receivers)
    health = Health(hub.store, registry)
    app = Starlette(
        routes=[
            Route(
                "/webhooks/{connection}",
                Webhooks(receivers, inbox_of(hub.store, hub), deliveries).__call__,
                methods=["POST"],
            ),
            Route("/healthz", health.alive),
            Route("/readyz", health.ready),
            Route("/metrics", health.metrics),
            Route("/openapi.json", health.openapi),
        ],
        exception_handlers={HTTPException: refused, 500: broken},
        middleware=[Middleware(AccessLog)],
    )
    app.router.redirect_slashes = False
    return app


def inbox_of(store: Store, hub: Hub) -> Inbox:
    """Returns the inbox that all deliveries of this process share."""
    return Inbox(store, hub.clock)


class AccessLog:
    """One line per request: method, path, status, time. No bodies, queries or headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, and logs it when it is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            # Quoted, so that a path cannot forge log lines.
            path = quote(scope["path"][:120])
            took = (time.perf_counter() - began) * 1000
            log.info(
                "%s %s %d %.1f ms",
                *(scope["method"], path, status, took),
                extra={
                    "method": scope["method"],
                    "path": path,
                    "status": status,
                    "milliseconds": round(took, 1),
                },
            )
