"""A third party's connector, written as our documentation says, together with HubSpot.

The folder is outside the code, the hub is real, both systems are called over HTTP.
"""

from __future__ import annotations

import importlib
import re
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.hubspot import twin as hubspot
from connectors.hubspot.twin import Twin
from connectors.hubspot.twin.control import TOKEN
from connectors.kit import scaffold
from connectors.kit.registry import adopt
from hub.settings import load_settings
from hub.sync.context import Hub
from hub.sync.run import Report, sync
from hub.wiring import open_hub

README = Path(__file__).parents[2] / "connectors" / "README.md"
Answer = Callable[[httpx.Request], httpx.Response]


@dataclass
class Far:
    """The third party's system, and what its users do there."""

    client: httpx.Client
    #: Calls other than reads, by the hub and by users.
    writes: list[str]

    def create(self, path: str, **row: str) -> dict[str, Any]:
        return dict(self.client.post(path, json=row).raise_for_status().json())

    def edit(self, path: str, **row: str) -> None:
        self.client.patch(path, json=row).raise_for_status()


class Served:
    """Serves HTTP on loopback with the answers of a function."""

    def __init__(self, answer: Answer) -> None:
        self.writes: list[str] = []
        self._lock = threading.Lock()
        self._answer = answer
        served = self

        class Desk(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                served.reply(self)

            do_GET = do_POST = do_PATCH = answer  # noqa: N815

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Desk)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def reply(self, desk: BaseHTTPRequestHandler) -> None:
        body = desk.rfile.read(int(desk.headers.get("content-length", 0)))
        asked = httpx.Request(
            desk.command, self.url + desk.path, headers=list(desk.headers.items()), content=body
        )
        with self._lock:
            if desk.command != "GET":
                self.writes.append(f"{desk.command} {desk.path}")
            answer = self._answer(asked)
        desk.send_response(answer.status_code)
        desk.send_header("content-length", str(len(answer.content)))
        desk.end_headers()
        desk.wfile.write(answer.content)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def crm() -> Iterator[Twin]:
    with hubspot.start() as twin:
        twin.limits.enforced = False
        yield twin


@pytest.fixture
def serve() -> Iterator[Callable[[Answer, str], Far]]:
    """Serves a system; users call it with the same token as the hub."""
    running: list[tuple[Served, httpx.Client]] = []

    def start(answer: Answer, token: str) -> Far:
        served = Served(answer)
        headers = {"Authorization": f"Bearer {token}"}
        client = httpx.Client(base_url=served.url, headers=headers)
        running.append((served, client))
        return Far(client, served.writes)

    yield start
    for served, client in running:
        client.close()
        served.stop()


@pytest.fixture
def forget() -> Iterator[list[str]]:
    """Packages that lie in this test's folder only."""
    packages: list[str] = []
    yield packages
    for name in list(sys.modules):
        if name.partition(".")[0] in packages:
            del sys.modules[name]


def opened(file: Path, text: str) -> Hub:
    file.write_text(text, encoding="utf-8")
    environ = {"HUBSPOT_TOKEN": TOKEN, "POCKET_TOKEN": "good"}
    return open_hub(load_settings(file, environ={**environ, "SHELF_TOKEN": "good-token"}))


def hubspot_at(crm: Twin) -> str:
    return f'base_url: "{crm.url}", search_lag_seconds: 0, token: "${{HUBSPOT_TOKEN}}"'


def quiet(hub: Hub) -> Report:
    """Syncs until nothing is left to do."""
    report = sync(hub)
    assert report.quiet
    assert not report.failed
    assert not report.paused
    assert not any(tally.quarantined for tally in report.tallies)
    return report


def properties(crm: Twin, stream: str, *names: str) -> set[tuple[Any, ...]]:
    rows = [one["properties"] for one in crm.objects(stream)]
    return {tuple(row.get(name) for name in names) for row in rows}


def test_the_readme_connector_is_kept_in_sync(
    tmp_path: Path, crm: Twin, serve: Callable[[Answer, str], Far], forget: list[str]
) -> None:
    """The worked example of the README is kept in sync."""
    text = README.read_text(encoding="utf-8")
    for path, block in re.findall(r"^```\w+\n# (pocket/\S+)\n(.*?)^```", text, re.S | re.M):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(block, encoding="utf-8")
    (tmp_path / "pocket" / "__init__.py").touch()
    forget.append("pocket")
    (config,) = re.findall(r"^  ```yaml\n(  # tulay.yaml,.*?)^  ```", text, re.S | re.M)
    adopt(tmp_path / "pocket")
    far_side = importlib.import_module("pocket.tests.test_pocket_contract").Pocket()
    far = serve(far_side.handle, "good")
    config = textwrap.dedent(config).replace("https://pocket.example", str(far.client.base_url))
    config = config.replace('token: "${HUBSPOT_TOKEN}"', hubspot_at(crm))
    assert "search_lag_seconds" in config

    crm.create("contacts", firstname="Ann", lastname="Weber", email="ann@acme.example")
    ben = far.create("/people", name="Ben Brandt", email="ben@blum.example", city="Bonn")
    hub = opened(tmp_path / "tulay.yaml", config)
    quiet(hub)
    names = ("firstname", "lastname", "email")
    assert properties(crm, "contacts", *names) == {
        ("Ann", "Weber", "ann@acme.example"),
        ("Ben", "Brandt", "ben@blum.example"),
    }
    people = {(row["name"], row["email"]) for row in far_side.rows.values()}
    assert people == {("Ann Weber", "ann@acme.example"), ("Ben Brandt", "ben@blum.example")}

    before = list(far.writes)
    assert quiet(hub).written == 0
    assert far.writes == before

    (key,) = [one["id"] for one in crm.objects("contacts") if "Ann" in str(one["properties"])]
    crm.clock.advance(timedelta(minutes=1))
    crm.edit("contacts", key, lastname="Meyer")
    far.edit(f"/people/{ben['id']}", email="brandt@blum.example")
    quiet(hub)
    assert {row["name"] for row in far_side.rows.values()} == {"Ann Meyer", "Ben Brandt"}
    assert ("Ben", "Brandt", "brandt@blum.example") in properties(crm, "contacts", *names)
    assert far_side.rows[ben["id"]]["city"] == "Bonn", "a field without a mapping is left alone"

    before = list(far.writes)
    assert quiet(hub).written == 0
    assert far.writes == before
    hub.close()


def test_a_scaffolded_connector_is_kept_in_sync(
    tmp_path: Path, crm: Twin, serve: Callable[[Answer, str], Far], forget: list[str]
) -> None:
    scaffold.new("shelf", tmp_path)
    forget.append("shelf")
    adopt(tmp_path / "shelf")
    far_side = importlib.import_module("shelf.twin").ShelfTwin()
    far = serve(far_side.handle, "good-token")
    config = f"""\
connectors: [.]
mappings: [.]
connections:
  crm: {{system: hubspot, {hubspot_at(crm)}}}
  erp: {{system: shelf, role: erp, base_url: "{far.client.base_url}", token: "${{SHELF_TOKEN}}"}}
"""
    blum = far.create("/customers", name="Bakery Blum", city="Bonn", external_id="")
    crm.create("companies", name="ACME", city="Berlin")
    hub = opened(tmp_path / "tulay.yaml", config)
    quiet(hub)
    both = {("Bakery Blum", "Bonn"), ("ACME", "Berlin")}
    assert properties(crm, "companies", "name", "city") == both
    assert {(row["name"], row["city"]) for row in far_side.rows.values()} == both
    assert quiet(hub).written == 0

    far_side.now += timedelta(minutes=1)
    far.edit(f"/customers/{blum['id']}", name="Bakery Blum & Sons")
    quiet(hub)
    assert ("Bakery Blum & Sons", "Bonn") in properties(crm, "companies", "name", "city")
    before = list(far.writes)
    assert quiet(hub).written == 0
    assert far.writes == before
    hub.close()
