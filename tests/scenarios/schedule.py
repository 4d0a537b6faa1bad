"""Schedules: plain steps drawn from a seed, and shrunk to the shortest list that fails alike."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from hub.simulation.shrink import fewest
from tests.scenarios.landscape import Landscape, draw

#: Verb -> how often it is drawn: users, messages of systems, the hub.
VERBS = {
    "create": 8,
    "edit": 26,
    "quarrel": 5,
    "delete": 3,
    "merge": 2,
    "nudge": 8,
    "pull": 16,
    "sweep": 3,
    "inbox": 8,
    "push": 20,
    "derive": 1,
    "sync": 2,
    "read": 4,
    "apply": 4,
    "wait": 2,
    "expire": 1,
}
HUB_VERBS = ("pull", "sweep", "inbox", "push", "sync")
FAULTS = ("before", "lost", "partial", "row_lost", "rate", "read", "find")


@dataclass(frozen=True)
class Step:
    """One event. Its numbers pick among whatever exists when it happens."""

    verb: str
    system: int
    pick: int
    what: int
    #: Seconds that pass before it.
    pause: int
    #: The fault that strikes during it.
    fault: str | None = None
    #: The process dies at this point: a commit, or a call to a system.
    dies: int | None = None
    #: What another actor does at this point.
    meanwhile: tuple[int, Step] | None = None


def schedule(chance: random.Random, length: int, verbs: Mapping[str, int] = VERBS) -> list[Step]:
    """Draws the events."""
    return [_step(chance, verbs, nested=False) for _ in range(length)]


def _step(chance: random.Random, verbs: Mapping[str, int], *, nested: bool) -> Step:
    verb = chance.choices(list(verbs), list(verbs.values()))[0]
    working = verb in HUB_VERBS and not nested
    roll = chance.random()
    return Step(
        verb,
        system=chance.randrange(6),
        pick=chance.randrange(1000),
        what=chance.randrange(1000),
        pause=chance.choice([0, 0, 1, 2, 8, 30]),
        fault=chance.choice(FAULTS) if working and roll < 0.3 else None,
        dies=chance.choice([0, 1, 2, 3, 4, 5, 7, 9, 12, 16]) if working and roll > 0.7 else None,
        meanwhile=(chance.randrange(12), _step(chance, verbs, nested=True))
        if working and chance.random() < 0.5
        else None,
    )


def shrunk(steps: Sequence[Step], fails: Callable[[Sequence[Step]], bool]) -> list[Step]:
    """Returns the shortest list it can find that still fails."""
    steps = fewest(steps, fails)
    for i in range(len(steps)):
        for trouble in ("meanwhile", "dies", "fault"):
            with_fewer_faults = replace(steps[i], **{trouble: None})
            if with_fewer_faults != steps[i] and fails(
                [*steps[:i], with_fewer_faults, *steps[i + 1 :]]
            ):
                steps[i] = with_fewer_faults
    return steps


def drawn(seed: int, length: int) -> tuple[Landscape, list[Step]]:
    """Returns the landscape and the schedule that a seed names."""
    chance = random.Random(seed)
    return draw(chance), schedule(chance, length)
