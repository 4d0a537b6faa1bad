"""Decides which fault a call meets, and raises it. Chances are seeded; scripts come first."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta

from connectors.kit.errors import RateLimitedError, UnavailableError
from connectors.memory.shapes import Fault, Vices
from connectors.memory.system import MemorySystem


class Weather:
    """What the line to the system is like, call by call, for one client."""

    def __init__(self, system: MemorySystem) -> None:
        self._system = system
        self._seed: int | None = None
        self._chance = random.Random(0)  # noqa: S311 - faults of a test must be repeatable

    def reading(self, *faults: Fault) -> None:
        """Lets a read pass or raises UnavailableError or RateLimitedError."""
        fault = self._fault(("rate", "read", *faults))
        if fault:
            raise self._broken(fault)

    def writing(self) -> Fault | None:
        """Returns the fault that a write will meet; raises those before anything happens."""
        fault = self._fault(("rate", "before", "lost", "partial", "row_lost"))
        if fault in ("rate", "before"):
            raise self._broken(fault)
        return fault

    def cut(self, count: int) -> int:
        """Returns how many writes of a batch happen before the line breaks."""
        return self._chance.randrange(count) if count else 0

    def _broken(self, fault: Fault) -> UnavailableError:
        name = self._system.name
        if fault == "rate":
            pause = timedelta(seconds=self._system.vices.retry_after)
            return RateLimitedError(f"{name} is busy: wait, then ask again", retry_after=pause)
        return UnavailableError(f"{name} did not answer: wait, then make the same call again")

    def _fault(self, possible: Sequence[Fault]) -> Fault | None:
        vices = self._system.vices
        if vices.down:
            raise UnavailableError(f"{self._system.name} is down: wait, then try again")
        if vices.script and vices.script[0] in possible:
            self._system.vices = vices.model_copy(update={"script": vices.script[1:]})
            return vices.script[0]
        return self._by_chance(vices, possible)

    def _by_chance(self, vices: Vices, possible: Sequence[Fault]) -> Fault | None:
        if vices.seed != self._seed:
            self._seed, self._chance = vices.seed, random.Random(vices.seed)  # noqa: S311
        chances = vices.model_dump()
        for fault in possible:
            chance = chances.get(fault, 0.0)
            if chance and self._chance.random() < chance:
                return fault
        return None
