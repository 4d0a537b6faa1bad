"""GET /healthz, /readyz, /metrics, /openapi.json: for monitoring."""

from __future__ import annotations

import asyncio

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hub.store.engine import Store
from hub.store.migrate import is_current
from hub.web.answers import later, problem
from hub.web.openapi import DOCUMENT


class Health:
    """Answers monitoring requests from the database only."""

    def __init__(self, store: Store, registry: CollectorRegistry) -> None:
        self._store = store
        self._registry = registry

    async def alive(self, request: Request) -> Response:
        """Answers that the process runs."""
        return JSONResponse({"alive": True})

    async def ready(self, request: Request) -> Response:
        """Answers whether the database is available and has the tables of this version."""
        try:
            current = await asyncio.to_thread(is_current, self._store)
        except SQLAlchemyError:
            return later("the database does not answer")
        if not current:
            return problem(503, "the tables are of another version", "restart Tulay: it migrates")
        return JSONResponse({"ready": True})

    async def metrics(self, request: Request) -> Response:
        """Returns all figures in Prometheus' text format."""
        try:
            text = await asyncio.to_thread(generate_latest, self._registry)
        except SQLAlchemyError:
            return later("the database does not answer")
        return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def openapi(self, request: Request) -> Response:
        """Returns the OpenAPI document."""
        return JSONResponse(DOCUMENT)
