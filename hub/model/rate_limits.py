"""Who may call a system how often: one account per connection, all processes together. Pure.

A block is a number of calls that one process may make, or has made, until some moment. Calls of a
block that ends before a window begins are not in it, and blocks are given only while all those
that may reach into the window leave room: no window of the limit's length ever holds more calls.
Moments are seconds since 1970 on the ledger's clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import ceil

from connectors.kit.ledger import Claim, Grant

#: A process that is alone takes its part of the limit in so many blocks.
PIECES = 4
#: Seconds that a call may be under way after its block has lapsed, when nobody reports it.
GRACE = 2.0
#: Longest time a block can be good for.
LONGEST = 5.0
#: Most calls of one block, so that what a process has and does not use stays small.
LARGEST = 250
#: After this many seconds nobody reports about a block any more.
FORGOTTEN = 86_400.0


@dataclass(frozen=True, slots=True)
class Reservation:
    """Calls of one process in one lane."""

    who: str
    lane: str
    bulk: bool
    count: int
    #: The newest of its calls reaches the system before this.
    until: float
    #: Nobody has reported yet how many of its calls were made.
    open: bool = False


@dataclass(frozen=True, slots=True)
class RateLimitState:
    """What all processes have used of a connection's limits."""

    blocks: tuple[Reservation, ...] = ()
    #: Nobody calls before this.
    closed_until: float = 0.0
    #: The day (UTC) that `used` counts.
    day: str = ""
    used: int = 0
    #: Calls a day; None when nobody says so.
    daily: int | None = None
    #: Lane -> calls per seconds, as the system has last told a process.
    limits: Mapping[str, tuple[int, float]] = field(default_factory=dict)


def day_of(now: float) -> str:
    """Returns the day of a moment.

    >>> day_of(86_400.0)
    '1970-01-02'
    """
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=now)).date().isoformat()


def close(account: RateLimitState, seconds: float, now: float) -> RateLimitState:
    """Stops everyone; a shorter stop does not shorten a longer one."""
    return replace(account, closed_until=max(account.closed_until, now + seconds))


def reserve(
    account: RateLimitState, claim: Claim, *, who: str, now: float
) -> tuple[RateLimitState, Grant]:
    """Books what a process reports, and gives it the next block if there is room."""
    account, claim = _as_told(account, claim)
    account = _reported(_today(account, now), claim, who=who, now=now)
    closed = max(0.0, account.closed_until - now)
    grant = _grant(account, claim, who=who, now=now)
    if closed > 0 or not claim.wants:
        grant = Grant(0, closed, closed=closed)
    count = grant.count + claim.out
    if count:
        until = now + GRACE + (grant.seconds if grant.count else 0.0)
        block = Reservation(who, claim.lane, claim.bulk, count, until, open=True)
        account = replace(account, blocks=(*account.blocks, block), used=account.used + grant.count)
    return account, grant


def _as_told(account: RateLimitState, claim: Claim) -> tuple[RateLimitState, Claim]:
    """A process that was not told the limit yet goes by what another one was told."""
    if claim.certain:
        limit = (claim.requests, claim.per_seconds)
        return replace(account, limits={**account.limits, claim.lane: limit}), claim
    requests, per_seconds = account.limits.get(claim.lane, (claim.requests, claim.per_seconds))
    return account, replace(claim, requests=requests, per_seconds=per_seconds)


def _today(account: RateLimitState, now: float) -> RateLimitState:
    """Forgets what is over: the last day, and blocks that reach into no window any more."""
    latest = now + GRACE + LONGEST
    # A block from the future was written before the clock was put back.
    kept = tuple(replace(b, until=min(b.until, latest)) for b in account.blocks)
    kept = tuple(b for b in kept if now - b.until < FORGOTTEN)
    day, used = day_of(now), account.used
    if day != account.day:
        # What has lapsed was called yesterday, if at all; what has not may be called today.
        kept = tuple(replace(b, open=b.open and b.until > now) for b in kept)
        used = _sum(b for b in kept if b.open)
    return replace(account, blocks=kept, day=day, used=used)


def _reported(account: RateLimitState, claim: Claim, *, who: str, now: float) -> RateLimitState:
    """Puts what was really called in the place of what might have been."""
    mine = (who, claim.lane, claim.bulk)
    given = [b for b in account.blocks if b.open and (b.who, b.lane, b.bulk) == mine]
    kept = [b for b in account.blocks if b not in given]
    if claim.spent:
        at = now - max(claim.ago, 0.0)
        kept.append(Reservation(who, claim.lane, claim.bulk, claim.spent, at))
    kept = [b for b in kept if b.open or b.lane != claim.lane or b.until + claim.per_seconds > now]
    spent = claim.spent if day_of(now - claim.ago) == account.day else 0
    surplus = spent + claim.out - _sum(given)
    used, daily = max(0, account.used + surplus), account.daily
    if claim.daily is not None:
        daily = claim.daily
    if claim.daily is not None and claim.daily_left is not None:
        used = max(0, claim.daily - claim.daily_left)  # the system's own figure knows best
    return replace(account, blocks=tuple(kept), used=used, daily=daily)


def _grant(account: RateLimitState, claim: Claim, *, who: str, now: float) -> Grant:
    window = claim.per_seconds
    held = [b for b in account.blocks if b.lane == claim.lane and b.until + window > now]
    most = bulk_part(claim.requests, claim.share) if claim.bulk else claim.requests
    free = claim.requests - _sum(held) - claim.out
    if claim.bulk:
        free = min(free, most - _sum(b for b in held if b.bulk) - claim.out)
        today = _left_for_bulk(account, claim.share)
        if today <= 0:
            return Grant(0, _next_look(now), spent_day=True)
        free = min(free, today)
    if free <= 0:
        # One of these has to lapse first; without any, a call that is under way has to come back.
        waits = [b.until + window - now for b in held if b.bulk or not claim.bulk]
        return Grant(0, max(min(waits, default=0.1), 0.01))
    others = len({b.who for b in held} - {who})
    size = ceil(most / PIECES) if not others else max(1, most // (PIECES * (others + 1)))
    size = min(size, LARGEST)
    good_for = min(window / (2 if not others else 4), LONGEST)
    return Grant(min(size, free), good_for)


def bulk_part(limit: int, share: float) -> int:
    """Returns how many of these calls bulk work may make: one at least, or it would never end.

    >>> bulk_part(100, 0.8), bulk_part(1, 0.8), bulk_part(5, 0.5)
    (80, 1, 2)
    """
    return max(1, int(limit * share))


def _left_for_bulk(account: RateLimitState, share: float) -> int:
    if account.daily is None:
        return 1 << 62
    return bulk_part(account.daily, share) - account.used


def _next_look(now: float) -> float:
    """Seconds until tomorrow, an hour at most: the system's day may end before ours."""
    return min(86_400.0 - now % 86_400.0, 3600.0)


def _sum(blocks: Iterable[Reservation]) -> int:
    return sum(b.count for b in blocks)
