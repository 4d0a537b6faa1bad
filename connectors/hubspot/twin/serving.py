"""Runs a twin's server and its deliveries, in the background or in the foreground."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp

from connectors.hubspot.twin.webhooks import Webhooks
from connectors.kit.twin import Server


class Serving:
    """One server at a time, with the deliveries that go out while it runs."""

    def __init__(self, app: ASGIApp, webhooks: Webhooks) -> None:
        self._app = app
        self._webhooks = webhooks
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """The server's address. Raises: RuntimeError before it is started."""
        if self._server is None:
            raise RuntimeError("the twin is not started")
        return self._server.url

    def start(self, port: int) -> None:
        """Answers from a background thread."""
        self._server = Server(self._app, port=port).start()
        self._webhooks.start()

    def run(self, port: int, *, ready: Callable[[], object]) -> None:
        """Answers in the foreground until interrupted; calls `ready` when the url is known."""
        self._server = Server(self._app, port=port)
        self._webhooks.start()
        ready()
        try:
            self._server.run()
        finally:
            self.stop()

    def stop(self) -> None:
        """Ends server and deliveries; idempotent."""
        self._webhooks.stop()
        if self._server is not None:
            self._server.stop()
