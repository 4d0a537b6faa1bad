"""What reading costs, compared with the minimum: `python -m tests.bench.reading`.

Starts a HubSpot twin, and then, round by round, each in its own process: the floor (httpx and
SQLite, see `floor.py`), a first `tulay sync company --once` into an empty hub, a full re-read in
which nothing changed, and an ordinary second sync. Prints CPU seconds (user and system, start-up
included), wall seconds and memory: the least of all rounds, as figures and as multiples of the
floor.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_TULAY = (sys.executable, "-m", "hub.cli")
_FLOOR = (sys.executable, str(Path(__file__).with_name("floor.py")))
_TOKEN = {"HUBSPOT_TOKEN": "twin-token"}
#: What is run in each round, in this order.
FLOOR, FLOOR_ALL, FIRST, AGAIN, NEXT = (
    "floor, default properties",
    "floor, our properties",
    "first sync",
    "full re-read",
    "next sync",
)


@dataclass(frozen=True, slots=True)
class Cost:
    """The resources that one process has used."""

    #: Seconds, user and system.
    cpu: float
    #: Seconds.
    wall: float
    #: Megabytes at most.
    memory: float

    def least(self, other: Cost | None) -> Cost:
        """Returns the lower figures of two; for memory the higher one."""
        if other is None:
            return self
        return Cost(
            min(self.cpu, other.cpu), min(self.wall, other.wall), max(self.memory, other.memory)
        )


def run(command: Sequence[str], folder: Path) -> tuple[Cost, str]:
    """Runs a command to its end and returns what it cost and printed."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as answer:
        environment = {**os.environ, **_TOKEN, "PYTHONPATH": str(_ROOT)}
        process = subprocess.Popen(command, cwd=folder, stdout=answer, env=environment)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - started
        answer.seek(0)
        printed = answer.read().decode()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {printed}")
    # Linux counts in kilobytes, macOS in bytes.
    unit = 1_000_000 if sys.platform == "darwin" else 1_000
    return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss / unit), printed


@contextmanager
def twin(records: int) -> Iterator[str]:
    """Runs a HubSpot twin in its own process; yields its address."""
    command = (*_TULAY, "twin", "hubspot", "--json", "--records", str(records))
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        text = ""
        for line in process.stdout:
            text += line
            if line.rstrip() == "}":
                break
        yield json.loads(text)["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def settings(url: str, folder: Path) -> None:
    """Writes a tulay.yaml with the twin as the only connection."""
    (folder / "tulay.yaml").write_text(
        "database: sqlite:///tulay.db\n"
        "connections:\n"
        "  crm:\n"
        "    system: hubspot\n"
        "    token: ${HUBSPOT_TOKEN}\n"
        f"    base_url: {url}\n",
        encoding="utf-8",
    )


def forget_cursor(folder: Path) -> None:
    """Makes the next sync read everything again."""
    with sqlite3.connect(folder / "tulay.db") as store:
        store.execute("UPDATE streams SET cursor = NULL")
    store.close()


def properties() -> str:
    """Returns the properties that Tulay requests."""
    from connectors.hubspot.records import wanted_properties
    from connectors.hubspot.vocabulary import STREAMS
    from mappings.kit.loader import load_all

    mapping = next(m for m in load_all(["hubspot"])["hubspot"] if m.stream == "companies")
    return ",".join(wanted_properties(STREAMS["companies"], tuple(mapping.names)))


def one_round(url: str, *, records: int) -> dict[str, Cost]:
    """Runs each of the processes once, and checks that all of them saw everything."""
    costs = {}
    with tempfile.TemporaryDirectory(prefix="tulay-bench-") as name:
        folder = Path(name)
        settings(url, folder)
        for what, more in ((FLOOR, ""), (FLOOR_ALL, properties())):
            costs[what], printed = run((*_FLOOR, url, f"{folder}/{what}.db", more), folder)
            assert int(printed) == records, printed
        for what, changed in ((FIRST, records), (AGAIN, 0), (NEXT, 0)):
            if what == AGAIN:
                forget_cursor(folder)
            command = (*_TULAY, "sync", "company", "--once", "--json")
            costs[what], printed = run(command, folder)
            document = json.loads(printed)
            assert document["changed"] == changed, document
            assert document["quiet"], document
    return costs


def show(costs: Mapping[str, Cost]) -> None:
    """Prints a table of the costs as multiples of both floors: default properties, and the same
    ones."""
    heads = "".join(f"{unit:>9}{'default':>9}{'same':>9}" for unit in ("CPU s", "wall s"))
    print(f"{'':28}{heads}{'MB':>7}")
    floor, same = costs[FLOOR], costs[FLOOR_ALL]
    for what, cost in costs.items():
        cpu = (cost.cpu, cost.cpu / floor.cpu, cost.cpu / same.cpu)
        wall = (cost.wall, cost.wall / floor.wall, cost.wall / same.wall)
        figures = "".join(f"{figure:9.2f}" for figure in (*cpu, *wall))
        print(f"{what:28}{figures}{cost.memory:7.0f}")


def main() -> None:
    """Runs the rounds and prints the lowest figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reading", description=__doc__)
    parser.add_argument("--records", type=int, default=20_000, help="companies in the twin")
    parser.add_argument("--rounds", type=int, default=3, help="how often each process runs")
    asked = parser.parse_args()
    least: dict[str, Cost] = {}
    with twin(asked.records) as url:
        for _ in range(asked.rounds):
            for what, cost in one_round(url, records=asked.records).items():
                least[what] = cost.least(least.get(what))
    show(least)


if __name__ == "__main__":
    main()
