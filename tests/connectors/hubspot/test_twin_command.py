"""`tulay twin hubspot` prints what one needs to connect to it, secrets of webhooks included."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.hubspot.connector import HubSpotConnector
from connectors.hubspot.twin.webhooks import APP_ID
from connectors.kit.budget import Budget
from connectors.kit.contract import Request

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def printed(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What the command has printed, by name, while its twin runs."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-m", "hub.cli", "twin", "hubspot"],
        cwd=tmp_path,
        env={**kept, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    found = {}
    for line in process.stdout:
        if line.startswith("stop it"):
            break
        name, value = re.findall(r"(?:its )?(\w+) (?:answers at|is) (\S+)", line)[0]
        found[name] = value
    yield found
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.fixture
def deliveries() -> Iterator[tuple[str, queue.Queue[Request]]]:
    """A receiver: its address, and what was delivered."""
    got: queue.Queue[Request] = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            url = f"http://{self.headers['host']}{self.path}"
            got.put(Request("POST", url, headers, body, datetime.now(UTC)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/in", got
        server.shutdown()
        thread.join()


def test_printed_secrets_are_of_webhooks(
    printed: dict[str, str], deliveries: tuple[str, queue.Queue[Request]]
) -> None:
    """One subscribes with the developer key; deliveries are signed with the client secret."""
    assert {"token", "client_secret", "developer_key"} <= set(printed)
    target, got = deliveries
    hooks = f"/webhooks/v3/{APP_ID}"
    key = {"hapikey": printed["developer_key"]}
    wanted = {"eventType": "company.creation", "active": True}
    token = {"Authorization": f"Bearer {printed['token']}"}
    with httpx.Client(base_url=printed["hubspot"]) as http:
        put = http.put(f"{hooks}/settings", params=key, json={"targetUrl": target})
        assert put.status_code == 200
        assert http.post(f"{hooks}/subscriptions", params=key, json=wanted).status_code == 201
        row = {"properties": {"name": "ACME"}}
        made = http.post("/crm/v3/objects/companies", headers=token, json=row)
        assert made.status_code == 201
    delivery = got.get(timeout=20)

    def verified(secret: str) -> bool:
        settings = {"token": printed["token"], "base_url": printed["hubspot"]}
        connector = HubSpotConnector({**settings, "webhook_secret": secret}, Budget())
        with closing(connector):
            return connector.verify(delivery)

    assert verified(printed["client_secret"])
    assert not verified("another one")
