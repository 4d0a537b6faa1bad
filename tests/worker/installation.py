"""An installation: companies and contacts in a CRM and an ERP, processes between them, and a check.

Both systems are files, so that they survive whatever happens to processes and servers.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from connectors.kit.contract import Request
from connectors.kit.signatures import sign
from connectors.memory.system import MemorySystem
from connectors.memory.webhooks import delivery
from hub.cli.app import build
from hub.simulation.checks import echoes, forget_writes, made_twice, repeated
from hub.store import leases
from hub.store.engine import Store, open_store
from tests.worker.fork_client import Forked, ForkServer, Process
from tests.worker.ports import ROOT, SECRET, free_port

_COMPANY = """\
entity: company
stream: companies
requires: [name]
fields:
  name: name
  domain: domain
  industry: industry
  email: email
  address.city: city
"""
_CONTACT = """\
entity: contact
stream: contacts
fields:
  first_name: first
  last_name: last
  email: email
  job_title: job
  company: {field: company, stream: companies}
"""
_CONFIG = """\
database: {database}
{redis}mappings: [./maps]
connections:
  crm: {{{one}, path: {folder}/crm.db, webhook_secret: '${{HOOK}}'}}
  erp: {{{one}, path: {folder}/erp.db, webhook_secret: '${{HOOK}}'}}
policies:
  company: {{default: {{on_conflict: crm, on_first_match: crm}}}}
  contact: {{default: {{on_conflict: crm, on_first_match: crm}}}}
schedules: {{pull: {pull}, sweep: 24h}}
web: {{port: {port}}}
"""

#: Log lines that show a bug of the product.
_MISTAKES = ("Traceback", "bug in", "error in Tulay", "exception raised", "unhandled")


@dataclass
class Installation:
    """Both systems, the settings between them, and the processes that a test has started."""

    folder: Path
    fork_server: ForkServer
    database: str = "sqlite:///tulay.db"
    redis_url: str | None = None
    pull: str = "0.3s"
    page: int = 50
    port: int = field(default_factory=free_port)
    started: list[Process] = field(default_factory=list)
    said: int = 0
    #: Creating one costs more than many calls; a killed process leaves dead connections.
    client: httpx.Client = field(
        default_factory=lambda: httpx.Client(
            timeout=20, verify=False, limits=httpx.Limits(max_keepalive_connections=0)
        )
    )
    opened: Store | None = None

    def __post_init__(self) -> None:
        (self.folder / "maps" / "memory").mkdir(parents=True)
        (self.folder / "maps" / "memory" / "company.yaml").write_text(_COMPANY)
        (self.folder / "maps" / "memory" / "contact.yaml").write_text(_CONTACT)
        streams = ["companies", "contacts"]
        self.crm = MemorySystem("crm", path=self.folder / "crm.db", streams=streams)
        self.erp = MemorySystem("erp", path=self.folder / "erp.db", streams=streams)
        self.write()

    @property
    def systems(self) -> dict[str, MemorySystem]:
        """Both systems by connection name."""
        return {"crm": self.crm, "erp": self.erp}

    @property
    def config(self) -> Path:
        """tulay.yaml."""
        return self.folder / "tulay.yaml"

    def write(self) -> None:
        """Writes tulay.yaml atomically: a process that has just started may be reading it."""
        new = self.config.with_suffix(".new")
        new.write_text(
            _CONFIG.format(
                database=self.database,
                redis=f"redis_url: {self.redis_url}\n" if self.redis_url else "",
                one=f"system: memory, page: {self.page}",
                folder=self.folder,
                pull=self.pull,
                port=self.port,
            )
        )
        new.replace(self.config)

    # --- people ---------------------------------------------------------------------------------

    def settle(self, count: int, *, known: int) -> None:
        """Creates companies with a contact each in the CRM; the ERP has some of them already."""
        with self.crm.tables.transaction():
            for number in range(count):
                self.found(self.crm, f"c{number}")
        with self.erp.tables.transaction():
            for number in range(known):
                self.found(self.erp, f"c{number}")

    def found(self, system: MemorySystem, name: str) -> str:
        """Creates a company with a contact in a system."""
        where = {"domain": f"{name}.example", "city": "Cebu", "industry": "Rattan"}
        key = system.create("companies", name=f"Company {name}", **where)
        who = {"first": "Ana", "last": name.title(), "email": f"ana@{name}.example"}
        system.create("contacts", company=key, **who)
        return key

    def edit(self, chance: random.Random) -> tuple[str, str, str]:
        """Edits a field as a user would; returns connection, stream, key."""
        connection = chance.choice(("crm", "erp"))
        system = self.systems[connection]
        stream, path = chance.choice(
            (
                ("companies", "industry"),
                ("companies", "city"),
                ("companies", "name"),
                ("contacts", "job"),
            )
        )
        keys = list(system.records(stream))
        key = chance.choice(keys)
        self.said += 1
        system.edit(stream, key, {path: f"Said {self.said}"})
        return connection, stream, key

    # --- processes ------------------------------------------------------------------------------

    @property
    def environ(self) -> dict[str, str]:
        """Returns the environment of the processes."""
        return {**os.environ, "HOOK": SECRET, "PYTHONPATH": str(ROOT)}

    def run(self, *words: str) -> Process:
        """Starts `tulay WORDS`."""
        args = [sys.executable, "-m", "hub.cli", "--config", str(self.config), *words]
        log = (self.folder / f"{words[0]}-{len(self.started)}.log").open("w")
        with log:
            process = subprocess.Popen(args, env=self.environ, stderr=log, stdout=log, cwd=ROOT)
        self.started.append(process)
        return process

    def fork(self, role: str, **watched: Any) -> Process:
        """Starts `tulay ROLE` quickly, by forking; `dies` is its crash point."""
        log = self.folder / f"{role}-{len(self.started)}.log"
        log.touch()  # the process opens it once it runs; a test may read it before
        if watched:
            watched["met"] = str(self.folder / "met")
        pid = self.fork_server.ask(role=role, config=str(self.config), log=str(log), **watched)
        self.started.append(Forked(self.fork_server, pid))
        return self.started[-1]

    def end(self, *processes: Process) -> None:
        """Sends SIGTERM: each of them ends in order."""
        for process in processes or self.started:
            process.send_signal(15)
        for process in processes or self.started:
            self.until(lambda process=process: process.poll() is not None)
            assert process.poll() in (0, -9), self.log()[-4000:]

    def kill(self) -> None:
        """Kills what is still running."""
        for process in self.started:
            process.send_signal(9)
        for process in self.started:
            while process.poll() is None:
                time.sleep(0.01)

    def log(self) -> str:
        """Returns the output of all processes."""
        return "".join(
            f"--- {path.name}\n{path.read_text()}" for path in sorted(self.folder.glob("*.log"))
        )

    def mistakes(self) -> list[str]:
        """Returns the log lines that show a bug of the product."""
        return [line for line in self.log().splitlines() if any(one in line for one in _MISTAKES)]

    def until(self, true: Callable[[], object], seconds: float = 60) -> None:
        """Waits until a condition holds."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, self.state()
            time.sleep(0.05)

    def state(self) -> str:
        """Returns everything that could explain why something does not happen."""
        tables = ("work", "streams", "inbox", "outbox", "quarantine", "dirty")
        found = [f"{name}: {row}" for name in tables for row in self.rows(f"SELECT * FROM {name}")]
        ends = [f"{process.pid}: {process.poll()}" for process in self.started]
        return "\n".join([*found, *ends, *self.different(), self.log()[-4000:]])

    @staticmethod
    def wait(seconds: float) -> None:
        """Lets time pass."""
        time.sleep(seconds)

    # --- being called ---------------------------------------------------------------------------

    def letter(self, stream: str, key: str, *, event: str | None = None) -> Request:
        """Builds a signed delivery about a record; `event` is its id, so that it can be
        repeated."""
        at = datetime.now(UTC)
        made = delivery([(stream, key)], secret=SECRET, at=at)
        body = made.body
        if event is not None:
            body = json.dumps({"events": [{"id": event, "stream": stream, "key": key}]}).encode()
        stamp = made.headers["x-memory-timestamp"]
        signature = sign(SECRET, stamp.encode() + b"." + body)
        headers = {**made.headers, "x-memory-signature": signature}
        return replace(made, body=body, headers={**headers, "content-type": "application/json"})

    def call(self, connection: str, stream: str, key: str, *, event: str | None = None) -> int:
        """Delivers a webhook once; returns the status, 0 without an answer."""
        made = self.letter(stream, key, event=event)
        url = f"http://127.0.0.1:{self.port}/webhooks/{connection}"
        try:
            answer = self.client.post(url, content=made.body, headers=dict(made.headers))
        except httpx.TransportError:
            return 0
        return answer.status_code

    def ask(self, path: str) -> int:
        """Returns the status of an address; 0 without an answer."""
        try:
            return self.client.get(f"http://127.0.0.1:{self.port}{path}").status_code
        except httpx.TransportError:
            return 0

    # --- looking --------------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        """The database, open."""
        if self.opened is None:
            self.opened = open_store(self.database.replace("///tulay", f"///{self.folder}/tulay"))
        return self.opened

    def rows(self, query: str) -> list[Any]:
        """Queries the database; returns nothing while it has no tables or does not answer."""
        try:
            with self.store.read() as tx:
                return list(tx.execute(text(query)))
        except DBAPIError:
            return []

    def close(self) -> None:
        """Closes everything that the test has opened."""
        self.client.close()
        if self.opened is not None:
            self.opened.close()

    def cli(self, *words: str) -> Any:
        """Runs a command in this process and returns its JSON."""
        result = CliRunner(env={"HOOK": SECRET}).invoke(
            build(), [*words, "--json", "--config", str(self.config)]
        )
        assert result.exit_code == 0, (words, result.output)
        return json.loads(result.stdout)

    @property
    def quiet(self) -> bool:
        """Returns True if nothing is left to read or write, and both systems agree."""
        left = self.rows(
            "SELECT (SELECT count(*) FROM inbox) + (SELECT count(*) FROM outbox)"
            " + (SELECT count(*) FROM quarantine WHERE kind IN ('pull', 'flow'))"
        )
        return bool(left) and left[0][0] == 0 and self.different() == []

    def different(self) -> list[str]:
        """Returns what differs between the systems, by natural keys."""
        crm, erp = sheet(self.crm), sheet(self.erp)
        return [
            f"{name}: {crm.get(name)} and {erp.get(name)}"
            for name in sorted({*crm, *erp})
            if crm.get(name) != erp.get(name)
        ]

    def doubles(self) -> list[str]:
        """Returns what was created twice, by natural key and by hub id."""
        streams = {"companies": "domain", "contacts": "email"}
        names = (
            f"{name} {stream} {json.loads(row.payload)[path]}"
            for name, system in self.systems.items()
            for stream, path in streams.items()
            for row in system.tables.rows("WHERE stream = ?", stream)
        )
        return [*repeated(names), *map(str, made_twice(self.systems, streams))]

    def settled(self) -> None:
        """Checks everything once nothing runs any longer. Raises: AssertionError."""
        assert self.doubles() == []
        assert self.different() == []
        (left,) = self.rows("SELECT count(*) FROM inbox")
        assert left[0] == 0, "a nudge was accepted and never looked at"
        with self.store.read() as tx:
            assert leases.holders(tx) == set()
        self.cli("reconcile")
        forget_writes(self.systems)
        self.cli("sync", "--once")
        assert echoes(self.systems) == []


def sheet(system: MemorySystem) -> dict[str, Mapping[str, Any]]:
    """Returns all that a system shows, by natural keys."""
    companies = system.records("companies")
    found: dict[str, Mapping[str, Any]] = {str(c["domain"]): c for c in companies.values()}
    for contact in system.records("contacts").values():
        home = companies[str(contact["company"])]["domain"]
        found[str(contact["email"])] = {**contact, "company": home}
    return found
