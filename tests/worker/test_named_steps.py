"""kill -9 at each named step of pull, push, create and receive; the next process finishes the work.

A step is a commit, or a call to a system, in a use case (see crash_points.py). A process is killed
at each step in turn, while users continue to work; then everything must have arrived once. With
TULAY_LONG=1 each step gets its own run, for its first, second and third occurrence.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from itertools import count

import pytest

from tests.worker.fork_client import Process
from tests.worker.installation import Installation

Towns = Callable[..., Installation]
#: What users do.
Day = Callable[[Installation, Iterator[int]], None]
LONG = os.environ.get("TULAY_LONG") == "1"
#: One insert and one answer on either database: see README.md.
ENGINES = ["sqlite", "postgresql"] if LONG else ["sqlite"]


def commits(words: str, host: str) -> dict[str, str]:
    return {f"{words}, before the commit": f"{host}: before the commit"} | {
        f"{words}, committed": f"{host}: committed"
    }


START = {
    **commits("tables made", "start"),
    **commits("leases prolonged", "execute.keep_leases"),
    **commits("tidied up", "kinds._tidy"),
}
FIRST_WRITE = commits("fields prepared over there", "custom_fields.prepare_once")
PULL = {
    **commits("work taken", "attempt._take"),
    **commits("stream leased", "stream_run.run_stream"),
    **commits("calls counted", "rate_limits.DatabaseLedger._change"),
    "page read": "prefetch.ahead.read: pages",
    **commits("page stored", "pull._store_page"),
    **commits("read noted, run ended, stream released", "stream_run._end"),
    **commits("work done", "attempt._give_back"),
}
PUSH = {
    **commits("wishes leased", "push._lease"),
    "truth fetched": "before_write.read_before_write: fetch",
    **commits("truth stored", "before_write.read_before_write"),
    **commits("intent to update stored", "sending.intend, update"),
    "update about to be written": "update: about to be written there",
    "update written over there": "update: written there, not answered",
    **commits("update read back", "sending.read_back, update"),
    **commits("wishes fulfilled", "batch._store"),
    **commits("push counted", "push.push"),
}
CREATE = {
    **commits("intent to create stored", "sending.intend, create"),
    "creation about to be written": "create: about to be written there",
    "creation written over there": "create: written there, not answered",
    **commits("creation read back", "sending.read_back, create"),
}
RECEIVE = {
    "verified": "receive: verify",
    "inserted, before the commit": "webhooks.note: before the commit",
    "committed, before the answer": "webhooks.note: committed",
}
INBOX = {
    "nudged records fetched": "inbox._truth: fetch",
    **commits("nudged records stored", "inbox._Processing._fetch"),
    **commits("nudges counted", "inbox._Processing.note_runs"),
}
END = commits("leases given back", "attempt.give_back")
#: Steps that only occur when a worker is stopped in the middle of work.
STOPPED = commits("work broken off", "attempt.break_off")
#: Steps that only occur after an earlier kill: the step, and where the process was killed first.
AFTERMATH = {
    **{
        words: (step, CREATE["creation written over there"])
        for words, step in {
            "leases of the dead freed, before the commit": "attempt.take_over: before the commit",
            "leases of the dead freed": "attempt.take_over: committed",
            "creation probed": "in_doubt.probe: find",
            "probed creation stored, before the commit": "in_doubt.probe: before the commit",
            "probed creation stored": "in_doubt.probe: committed",
        }.items()
    },
}
USE_CASES = {"pull": PULL, "push": PUSH, "create": CREATE, "inbox": INBOX}
#: The riskiest steps.
TELLING = {
    words: step
    for group in USE_CASES.values()
    for words, step in group.items()
    if words.split(",")[0]
    in (
        "page stored",
        "intent to create stored",
        "creation written over there",
        "update written over there",
        "nudged records stored",
    )
}
GROUPS = (START, FIRST_WRITE, *USE_CASES.values(), RECEIVE, END)
ALL = {step for steps in GROUPS for step in steps.values()}


def edits(installation: Installation, names: Iterator[int]) -> None:
    """Makes some changes in both systems."""
    number = next(names)
    installation.crm.edit("companies", "1", industry=f"Seen by {number}")
    installation.erp.edit("contacts", "1", job=f"Job {number}")
    installation.edit(random.Random(number))


def a_day(installation: Installation, names: Iterator[int]) -> None:
    """Creates companies and makes some changes in both systems."""
    number = next(names)
    for system in (installation.crm, installation.erp):
        installation.found(system, f"{system.name}{number}")
    edits(installation, names)


def day_for(step: str) -> tuple[Day, int]:
    """Returns what users do to reach a step, and how often it is passed before.

    A batch with any create counts as a create, only one of updates alone as an update.
    """
    return (edits, 5) if "update" in step else (a_day, 50)


def killed_at(
    installation: Installation,
    role: str,
    step: str,
    *,
    nth: int = 1,
    busy: Callable[[int], object] = bool,
) -> None:
    """Runs a process that must reach a step and die there, while others work."""
    process, moments = installation.fork(role, dies_at=step, nth=nth), count(1)

    def over() -> bool:
        busy(next(moments))
        return process.poll() is not None

    installation.until(over)
    assert process.poll() == -9, f"{step}: {process.poll()}\n{installation.log()[-3000:]}"


def killed(installation: Installation, process: Process) -> None:
    """Runs a process that dies at its step, after what a test has just done to it."""
    installation.until(lambda: process.poll() is not None)
    assert process.poll() == -9


def settled(installation: Installation, count: int, *, known: int) -> None:
    """An installation that is in sync before anything happens."""
    installation.settle(count, known=known)
    first = installation.fork("worker")
    installation.until(lambda: installation.quiet)
    installation.end(first)


def working(installation: Installation, names: Iterator[int], step: str) -> Callable[[int], object]:
    """Keeps users and webhooks busy while a test waits for a step."""
    day, often = day_for(step)

    def work(moment: int) -> None:
        if moment % often == 0:
            day(installation, names)
        if moment % 5 == 0 and installation.ask("/healthz") == 200:
            key = list(installation.crm.records("companies"))[-1]
            installation.call("crm", "companies", key, event=f"e{installation.said}-{moment}")

    return work


def scheduler_of(installation: Installation) -> None:
    if installation.redis_url is not None:
        installation.fork("scheduler")


def finished(installation: Installation) -> None:
    """Lets a worker that is not killed finish the work; then checks everything."""
    installation.found(installation.crm, "last")
    installation.fork("worker")
    check_all(installation)


def check_all(installation: Installation) -> None:
    """Checks everything once it has settled."""
    installation.until(lambda: installation.quiet)
    installation.end()
    assert installation.mistakes() == []
    installation.settled()


def test_the_list_of_steps_is_complete(installation: Installation) -> None:
    names = count()
    installation.settle(3, known=2)
    web, worker = installation.fork("web", dies_at=""), installation.fork("worker", dies_at="")
    installation.until(lambda: installation.quiet)
    installation.until(lambda: installation.ask("/readyz") == 200)
    a_day(installation, names)
    installation.until(lambda: installation.quiet)
    installation.crm.edit("companies", "1", industry="Bamboo")
    assert installation.call("crm", "companies", "1") == 202
    installation.until(lambda: installation.quiet)
    installation.end(web, worker)
    met = set((installation.folder / "met").read_text().splitlines())
    assert (met - ALL - set(STOPPED.values()), ALL - met) == (set(), set())
    installation.settled()


def test_killed_at_each_step_of_starting(installation: Installation) -> None:
    # Nothing is known at first: tidying up and the first write are in different threads.
    for step in START.values():
        killed_at(installation, "worker", step)
    installation.found(installation.crm, "new")
    for step in FIRST_WRITE.values():
        killed_at(installation, "worker", step)
    finished(installation)


@pytest.mark.parametrize("use_case", USE_CASES)
def test_killed_at_each_step_in_turn(installation: Installation, use_case: str) -> None:
    killed_in_turn(installation, USE_CASES[use_case])


@pytest.mark.parametrize("steps", USE_CASES.values() if LONG else [TELLING], ids=lambda _: "")
def test_killed_at_the_steps_over_redis(
    installations: Towns, servers: Mapping[str, str], steps: Mapping[str, str]
) -> None:
    killed_in_turn(installations(**servers), steps)


def killed_in_turn(installation: Installation, steps: Mapping[str, str]) -> None:
    names = count()
    scheduler_of(installation)
    settled(installation, 4, known=2)
    installation.fork("web")
    for step in steps.values():
        day_for(step)[0](installation, names)
        killed_at(installation, "worker", step, busy=working(installation, names, step))
    finished(installation)


@pytest.mark.parametrize("either", ENGINES, indirect=True)
def test_killed_at_each_step_of_receiving(either: Installation) -> None:
    installation, names = either, count()
    installation.settle(2, known=2)
    with_pull(installation, "1h")  # after the first read, only webhooks report changes
    scheduler_of(installation)
    installation.fork("worker")
    installation.until(lambda: installation.quiet)
    for number, step in enumerate(RECEIVE.values()):
        key = installation.found(installation.crm, f"new{next(names)}")
        process = installation.fork("web", dies_at=step)
        installation.until(lambda: installation.ask("/readyz") == 200)
        assert installation.call("crm", "companies", key, event=f"e{number}") == 0
        killed(installation, process)
        # As every sender without an answer does: repeats until there is one.
        installation.fork("web")
        event = f"e{number}"
        installation.until(
            lambda k=key, e=event: installation.call("crm", "companies", k, event=e) == 202
        )
        contact = list(installation.crm.records("contacts"))[-1]
        assert installation.call("crm", "contacts", contact) == 202
        installation.until(lambda: installation.different() == [])
        installation.end(installation.started[-1])
    check_all(installation)


def test_killed_while_clearing_up_after_a_kill(installation: Installation) -> None:
    names = count()
    settled(installation, 3, known=1)
    for step, first in AFTERMATH.values():
        a_day(installation, names)
        killed_at(installation, "worker", first)
        # Nothing is read: a read could find the created record before it is probed.
        with_pull(installation, "1h")
        a_day(installation, names)
        killed_at(installation, "worker", step)
        with_pull(installation, "0.3s")
    finished(installation)


def with_pull(installation: Installation, often: str) -> None:
    """Sets how often streams are read, from the next process on."""
    installation.pull = often
    installation.write()


def test_killed_while_ending(installation: Installation) -> None:
    installation.settle(3, known=1)
    names = count()
    for step in END.values():
        installation.found(installation.crm, f"new{next(names)}")
        process = installation.fork("worker", dies_at=step)
        installation.until(lambda: installation.quiet)
        process.send_signal(15)
        killed(installation, process)
    finished(installation)


def test_killed_while_work_is_broken_off(installation: Installation) -> None:
    installation.settle(1, known=1)
    installation.erp.inject_faults(slow=1)
    for number, step in enumerate(STOPPED.values()):
        installation.found(installation.crm, f"new{number}")
        process = installation.fork("worker", dies_at=step)
        sent = (
            f"SELECT 1 FROM outbox WHERE state = 'in_flight' AND leased_by LIKE '%:{process.pid}:%'"
        )
        installation.until(lambda sent=sent: installation.rows(sent))
        process.send_signal(15)
        killed(installation, process)
    installation.erp.inject_faults()
    finished(installation)


def _alone() -> Mapping[str, tuple[str, int]]:
    steps = [step for group in USE_CASES.values() for step in group.items()]
    return {f"{words} ({nth})": (step, nth) for words, step in steps for nth in (1, 2, 3)}


@pytest.mark.skipif(not LONG, reason="a minute or more: TULAY_LONG=1")
@pytest.mark.parametrize("words", _alone() if LONG else ["-"])
def test_killed_at_one_step(either: Installation, words: str) -> None:
    step, nth = _alone()[words]
    installation, names = either, count()
    scheduler_of(installation)
    settled(installation, 6, known=3)
    installation.fork("web")
    day_for(step)[0](installation, names)
    killed_at(installation, "worker", step, nth=nth, busy=working(installation, names, step))
    finished(installation)
