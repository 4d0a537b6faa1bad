"""Decides which fault a call meets, and raises it. Draws are seeded; scripts come first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from connectors.kit.contract import Write
from connectors.kit.errors import CursorExpiredError, RateLimitedError, UnavailableError
from connectors.kit.faults import FAULTS, Chances, luck, only, skew, ways
from connectors.memory.fault_state import FaultState
from connectors.memory.patching import leaves
from connectors.memory.shapes import Fault, Faults

#: The supported faults: clients authenticate by password, without tokens.
KNOWN = frozenset(FAULTS) - {"token", "rotated"}
#: Seconds until a change becomes searchable, and within which changes share one time.
LAG, TIE = 3.0, 1.0
#: Seconds that a slow answer takes.
SLOW = 0.2
#: The HTTP faults as faults of a connector's calls: fault -> share of the probability.
_AS: Mapping[Fault, Mapping[str, float]] = {
    "rate": {"throttled": 1.0, "quota": 1.0},
    "curt": {"abrupt": 1.0},
    "read": {"down": 1.0, "lost": 1.0, "timeout": 1.0, "reset": 1.0, "truncated": 1.0, "html": 1.0},
    "before": {"down": 1.0, "html": 0.5},
    "lost": {"lost": 1.0, "timeout": 1.0, "reset": 1.0, "truncated": 1.0, "html": 0.5},
    "partial": {"partial": 0.5},
    "row_lost": {"partial": 0.5},
}


def faults_from(chances: Chances, *, seed: int) -> dict[str, Any]:
    """Returns the fields of `Faults` for faults of the registry. Raises: FaultError."""
    only(chances, KNOWN, whose="a memory system")
    found: dict[str, Any] = {"chances": dict(chances), "ways": ways(chances)}
    if "lag" in chances:
        found["lag"] = LAG
    if "ties" in chances:
        found["ties"] = TIE
    if "skew" in chances:
        found["skew"] = skew(seed)
    found["merged"] = "merged" in chances
    return found


def faults_of(fault_name: str) -> tuple[Fault, ...]:
    """Returns the faults of single calls that a fault of the line makes; none of other faults.

    >>> faults_of("down"), faults_of("lag")
    (('read', 'before'), ())
    """
    return tuple(fault for fault, shares in _AS.items() if fault_name in shares)


def refused(faults: Faults, stream: str, write: Write) -> dict[str, str]:
    """Returns the paths of a write that an admin's rule refuses, always the same ones."""
    chance, payload = faults.chances.get("refused", 0.0), getattr(write, "payload", None)
    if not chance or not payload:
        return {}
    who = getattr(write, "external_id", None) or getattr(write, "key", None)
    return {
        path: "breaks a rule of this system"
        for path, value in leaves(payload)
        if isinstance(value, str)
        and value
        and luck(faults.seed, "refused", stream, who, path, value) < chance
    }


class FaultInjector:
    """The faults of the connection to the system, call by call, shared by all clients."""

    def __init__(self, system: str, state: FaultState) -> None:
        self._system = system
        self._state = state

    def reading(self, *faults: Fault) -> None:
        """Lets a read pass or raises UnavailableError or RateLimitedError."""
        fault = self._fault(("rate", "curt", "read", *faults))
        if fault:
            raise self._broken(fault)

    def cursor(self, stream: str) -> None:
        """Lets a cursor pass or raises CursorExpiredError."""
        if self._state.strikes("cursor"):
            message = f"{self._system} no longer knows this cursor of {stream}"
            raise CursorExpiredError(f"{message}; read the stream again")

    def writing(self) -> Fault | None:
        """Returns the fault that a write will meet; raises those before anything happens."""
        fault = self._fault(("rate", "curt", "before", "lost", "partial", "row_lost"))
        if fault in ("rate", "curt", "before"):
            raise self._broken(fault)
        return fault

    def cut(self, count: int) -> int:
        """Returns how many writes of a batch happen before the line breaks."""
        return int(self._state.roll("cut") * count)

    def _broken(self, fault: Fault) -> UnavailableError:
        name = self._system
        if fault in ("rate", "curt"):
            seconds = self._state.faults.retry_after
            pause = timedelta(seconds=seconds) if fault == "rate" else None
            return RateLimitedError(f"{name} is busy: wait, then ask again", retry_after=pause)
        return UnavailableError(f"{name} did not answer: wait, then make the same call again")

    def _fault(self, possible: Sequence[Fault]) -> Fault | None:
        faults = self._state.faults
        if faults.down:
            raise UnavailableError(f"{self._system} is down: wait, then try again")
        if faults.script and (scripted := self._state.scripted(possible)):
            return scripted
        return self._by_chance(faults, possible)

    def _by_chance(self, faults: Faults, possible: Sequence[Fault]) -> Fault | None:
        chances = [one for fault in possible for one in _chances(faults, fault)]
        if not any(chance for *_, chance in chances):
            return None
        # One draw that all processes take turns at: a restarted process continues in it,
        # and does not meet the same fault at its first call each time.
        drawn = self._state.roll("fault")
        for fault, fault_name, chance in chances:
            if drawn < chance:
                if fault_name is not None:
                    self._state.has_happened(fault_name)
                return fault
            drawn -= chance
        return None


def _chances(faults: Faults, fault: Fault) -> Iterator[tuple[Fault, str | None, float]]:
    """Yields what may make a fault: the fault of the registry, if one does, and its chance."""
    yield fault, None, float(getattr(faults, fault, 0.0))
    for name, share in _AS.get(fault, {}).items():
        yield fault, name, share * faults.chances.get(name, 0.0)
