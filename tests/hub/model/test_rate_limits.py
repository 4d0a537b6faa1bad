"""Rate limits shared by several processes: no window ever holds more calls than allowed."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.kit.budget import Allowance, Budget, bulk
from connectors.kit.errors import RateLimitedError
from connectors.kit.ledger import Claim, Grant, LedgerError
from hub.model.rate_limits import PIECES, RateLimitState, close, reserve

NOON = 1_700_049_600.0


@dataclass
class Time:
    """One clock for all processes; sleeping advances it."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Desk:
    """The shared state of a rate limit, without a database."""

    time: Time
    account: RateLimitState = field(default_factory=RateLimitState)
    asked: int = 0
    looked: int = 0
    down: bool = False

    def now(self) -> float:
        if self.down:
            raise LedgerError("down")
        return NOON + self.time.now


@dataclass
class Pocket:
    """The ledger of one process."""

    desk: Desk
    who: str

    def reserve(self, claim: Claim) -> Grant:
        now = self.desk.now()
        self.desk.asked += 1
        self.desk.account, grant = reserve(self.desk.account, claim, who=self.who, now=now)
        return grant

    def close(self, seconds: float) -> None:
        self.desk.account = close(self.desk.account, seconds, self.desk.now())

    def closed(self) -> float:
        self.desk.looked += 1
        return max(0.0, self.desk.account.closed_until - self.desk.now())


@dataclass
class Company:
    """Several processes with one connection, and every call that the system saw."""

    number: int
    requests: int
    per_seconds: float
    daily: int | None = None
    share: float = 0.8
    time: Time = field(default_factory=Time)
    calls: list[tuple[float, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.desk = Desk(self.time)
        self.processes = [self.process(f"p{number}") for number in range(self.number)]

    def process(self, who: str) -> Budget:
        return Budget(
            self.requests,
            self.per_seconds,
            clock=self.time,
            sleep=self.time.sleep,
            patience=1e9,
            ledger=Pocket(self.desk, who),
            daily=self.daily,
            bulk_share=self.share,
        )

    def call(
        self, process: Budget, *, slow: bool = False, there: float = 0, back: float = 0
    ) -> None:
        """Makes a call that arrives some time after it was released, and is answered later."""
        with bulk(slow), process.call():
            self.time.now += there
            self.calls.append((self.time.now, slow))
            self.time.now += back

    def fullest(self, *, slow: bool = False) -> int:
        """Returns the maximum number of calls in any window."""
        times = [at for at, was_slow in self.calls if was_slow or not slow]
        ends = [at + self.per_seconds - 1e-6 for at in times]
        return max(
            (sum(at <= one < end for one in times) for at, end in zip(times, ends, strict=True)),
            default=0,
        )


steps = st.lists(
    st.one_of(
        # A process makes a call: which process, bulk or not, how long until it arrives.
        st.tuples(st.integers(0, 3), st.booleans(), st.sampled_from([0.0, 0.4, 1.9])),
        # The oldest call is answered.
        st.just("answer"),
        # Time passes.
        st.sampled_from([0.01, 0.3, 0.6, 1.1, 2.5, 11.0]),
    ),
    min_size=40,
    max_size=160,
)


@settings(max_examples=200)
@given(
    number=st.integers(1, 4),
    requests=st.integers(1, 20),
    per_seconds=st.sampled_from([0.5, 1.0, 10.0]),
    share=st.sampled_from([0.2, 0.5, 0.8, 1.0]),
    steps=steps,
)
def test_all_processes_together_keep_to_the_limit(
    number: int, requests: int, per_seconds: float, share: float, steps: list[Any]
) -> None:
    company = Company(number, requests, per_seconds, share=share)
    under_way: list[tuple[ExitStack, float, bool]] = []
    made = 0

    def answer() -> None:
        call, arrives, slow = under_way.pop(0)
        # An answered call has arrived, however slow the transport.
        company.calls.append((min(arrives, company.time.now), slow))
        call.close()

    for step in steps:
        if isinstance(step, float):
            company.time.now += step
        elif step == "answer":
            if under_way:
                answer()
        else:
            who, slow, way = step
            while len(under_way) >= max(1, int(requests * share)):
                answer()  # all of them in transit without answers: that would wait forever
            call = ExitStack()
            with bulk(slow):
                call.enter_context(company.processes[who % number].call())
            under_way.append((call, company.time.now + way, slow))
            made += 1
    while under_way:
        answer()
    assert company.fullest() <= requests
    assert company.fullest(slow=True) <= max(1, int(requests * share))
    assert company.desk.account.used >= made
    for process in company.processes:
        process.settle()
    assert company.desk.account.used == made


def test_one_process_gets_the_whole_limit() -> None:
    company = Company(1, 100, 10.0)
    (alone,) = company.processes
    for _ in range(1000):
        company.call(alone)
    assert company.time.now == pytest.approx(90, abs=1)
    # Four reservations a window; while it must wait it does not ask again and again.
    assert company.desk.asked <= PIECES * 10 + 20
    assert company.desk.looked <= 20


def test_live_changes_pass_a_used_bulk_share() -> None:
    company = Company(2, 100, 10.0)
    first_read, live = company.processes
    for _ in range(80):
        company.call(first_read, slow=True)
    for _ in range(15):
        company.call(live)
    assert company.time.now == 0
    company.call(first_read, slow=True)
    assert company.time.now >= 10


def test_reservations_of_the_dead_expire() -> None:
    company = Company(1, 4, 1.0)
    company.call(company.processes[0])  # holds a reservation, and dies
    other = company.process("other")
    for _ in range(12):
        company.call(other)
    assert company.time.now < 8


def test_retry_after_stops_every_process() -> None:
    company = Company(2, 1000, 10.0)
    one, other = company.processes
    company.call(one)
    company.call(other)
    one.pause(30)
    company.time.now += 1
    company.call(other)
    assert company.time.now == pytest.approx(30)


def test_without_the_ledger_reads_are_careful() -> None:
    company = Company(1, 100, 10.0)
    (only,) = company.processes
    company.desk.down = True
    for _ in range(20):
        company.call(only)
    assert company.fullest() == 10
    company.desk.down = False
    company.time.now += 10
    for _ in range(30):
        company.call(only)
    only.settle()
    assert company.desk.account.used == 50


def test_only_bulk_work_stops_at_its_daily_share() -> None:
    company = Company(2, 1000, 1.0, daily=100)
    backfill, live = company.processes
    for _ in range(80):
        company.call(backfill, slow=True)
    with pytest.raises(RateLimitedError, match="80% of today's calls") as raised:
        company.call(backfill, slow=True)
    assert raised.value.retry_after is not None
    for _ in range(40):
        company.call(live)
    company.time.now += 13 * 3600
    company.call(backfill, slow=True)
    for process in company.processes:
        process.settle()
    assert company.desk.account.used == 1


def test_the_systems_daily_figure_wins() -> None:
    company = Company(1, 1000, 1.0, daily=100)
    (only,) = company.processes
    company.call(only)
    only.learn(Allowance(daily=1_000_000, daily_left=400_000))
    only.settle()
    assert (company.desk.account.daily, company.desk.account.used) == (1_000_000, 600_000)
    company.call(only, slow=True)
    only.learn(Allowance(daily=1_000_000, daily_left=100_000))
    only.settle()
    with pytest.raises(RateLimitedError):
        company.call(only, slow=True)


def test_a_clock_set_back_does_not_close_for_long() -> None:
    company = Company(1, 2, 1.0)
    company.time.now = 5000
    company.call(company.processes[0])
    company.call(company.processes[0])
    company.time.now = 0
    company.call(company.process("after"))
    assert company.time.now < 20


def test_limits_reported_to_one_reach_the_next() -> None:
    time = Time()
    desk = Desk(time)

    def process(who: str, requests: int = 100, *, fixed: bool = False) -> Budget:
        made = Budget(
            requests,
            10.0,
            clock=time,
            sleep=time.sleep,
            ledger=Pocket(desk, who),
            fixed=fixed,
        )
        made.read_limits_with(lambda _headers: Allowance(requests=190, per_seconds=10.0))
        return made

    first = process("first")
    for _ in range(150):
        first.take()
        first.feed({})
    first.settle()
    assert time.now == 0
    second = process("second")
    for _ in range(30):
        second.take()
    assert time.now == 0
    third = process("third", 10, fixed=True)
    third.take()
    assert time.now >= 9  # a configured limit is not shared with others as the system's
