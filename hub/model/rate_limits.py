"""Rate limits of a connection, shared by all processes. Pure.

A reservation is a number of calls that one process may make, or has made, before some time. It is
outside of a window that begins after that time. Reservations are granted only while all those that
may count in the window leave room, so that no window of the limit's length ever holds more calls.
Times are seconds since 1970 on the ledger's clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import ceil

from connectors.kit.ledger import Claim, Grant

#: A single process takes its part of the limit in this many reservations.
PIECES = 4
#: Seconds that a call may take to arrive after its reservation has expired unreported.
GRACE = 2.0
#: Maximum number of seconds that a reservation is valid.
LONGEST = 5.0
#: Maximum number of calls of a reservation, so that little is reserved and not used.
LARGEST = 250
#: Seconds after which an unreported reservation is forgotten.
FORGOTTEN = 86_400.0


@dataclass(frozen=True, slots=True)
class Reservation:
    """Calls of one process in one lane."""

    who: str
    lane: str
    bulk: bool
    count: int
    #: The last of its calls reaches the system before this time.
    until: float
    #: Not reported yet: it is unknown how many of its calls were made.
    open: bool = False


@dataclass(frozen=True, slots=True)
class RateLimitState:
    """The use of a connection's limits by all processes."""

    blocks: tuple[Reservation, ...] = ()
    #: No calls before this time.
    closed_until: float = 0.0
    #: The UTC day that `used` counts.
    day: str = ""
    used: int = 0
    #: Calls per day; None if unknown.
    daily: int | None = None
    #: Lane -> calls per seconds, as last reported by the system to any process.
    limits: Mapping[str, tuple[int, float]] = field(default_factory=dict)


def day_of(now: float) -> str:
    """Returns the UTC day of a time.

    >>> day_of(86_400.0)
    '1970-01-02'
    """
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=now)).date().isoformat()


def close(account: RateLimitState, seconds: float, now: float) -> RateLimitState:
    """Stops all processes; a shorter stop does not shorten a longer one."""
    return replace(account, closed_until=max(account.closed_until, now + seconds))


def reserve(
    account: RateLimitState, claim: Claim, *, who: str, now: float
) -> tuple[RateLimitState, Grant]:
    """Books the reported calls of a process, and grants its next reservation if there is room."""
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
    """Shares a limit that the system has reported to one process with all others."""
    if claim.certain:
        limit = (claim.requests, claim.per_seconds)
        return replace(account, limits={**account.limits, claim.lane: limit}), claim
    requests, per_seconds = account.limits.get(claim.lane, (claim.requests, claim.per_seconds))
    return account, replace(claim, requests=requests, per_seconds=per_seconds)


def _today(account: RateLimitState, now: float) -> RateLimitState:
    """Drops what is over: yesterday's count, and reservations that no window includes any more."""
    latest = now + GRACE + LONGEST
    # A reservation in the future was made before the clock was set back.
    kept = tuple(replace(b, until=min(b.until, latest)) for b in account.blocks)
    kept = tuple(b for b in kept if now - b.until < FORGOTTEN)
    day, used = day_of(now), account.used
    if day != account.day:
        # An expired reservation was used yesterday, if at all; a valid one may be used today.
        kept = tuple(replace(b, open=b.open and b.until > now) for b in kept)
        used = _sum(b for b in kept if b.open)
    return replace(account, blocks=kept, day=day, used=used)


def _reported(account: RateLimitState, claim: Claim, *, who: str, now: float) -> RateLimitState:
    """Replaces reserved calls by those that were made."""
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
        used = max(0, claim.daily - claim.daily_left)  # the system's own figure wins
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
        # Waits until one of these expires; without any, until a call in progress returns.
        waits = [b.until + window - now for b in held if b.bulk or not claim.bulk]
        return Grant(0, max(min(waits, default=0.1), 0.01))
    others = len({b.who for b in held} - {who})
    size = ceil(most / PIECES) if not others else max(1, most // (PIECES * (others + 1)))
    size = min(size, LARGEST)
    good_for = min(window / (2 if not others else 4), LONGEST)
    return Grant(min(size, free), good_for)


def bulk_part(limit: int, share: float) -> int:
    """Returns how many of these calls bulk work may make; at least one, so that it ends.

    >>> bulk_part(100, 0.8), bulk_part(1, 0.8), bulk_part(5, 0.5)
    (80, 1, 2)
    """
    return max(1, int(limit * share))


def _left_for_bulk(account: RateLimitState, share: float) -> int:
    if account.daily is None:
        return 1 << 62
    return bulk_part(account.daily, share) - account.used


def _next_look(now: float) -> float:
    """Returns the seconds until midnight UTC, at most an hour: the system's day may end earlier."""
    return min(86_400.0 - now % 86_400.0, 3600.0)


def _sum(blocks: Iterable[Reservation]) -> int:
    return sum(b.count for b in blocks)
