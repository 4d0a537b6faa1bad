"""The plan of a simulation in one process: users and hub work alternately, drawn from a seed.

Pure. Scenes are drawn lazily, so that a million changes need no more memory than a thousand; each
can be played again with fewer steps.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hub.simulation.faults import frequency, scripted
from hub.simulation.workload import Step, Workload

#: Which call of a job fails, and the points (commits and calls) at which a process dies.
_CALLS = (0, 0, 0, 1, 1, 2, 3, 5, 8, 20)
_LIVES = (0, 1, 2, 3, 4, 5, 7, 9, 12, 16, 25, 60)


@dataclass(frozen=True, slots=True)
class Op:
    """One job of the hub, with what goes wrong in it."""

    kind: str
    connection: str = ""
    stream: str = ""
    fault: str | None = None
    #: The name in `--faults` that causes this fault.
    fault_name: str = ""
    #: The call that fails; for `surprise`, picks the stream.
    after: int = 0
    #: The process dies at this point.
    dies: int | None = None
    #: Whether its leases are freed at once, as on the same host, or must expire.
    found_dead: bool = True
    #: What users do when it reaches a point.
    meanwhile: tuple[int, tuple[Step, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """Users type, then the hub works."""

    number: int
    steps: tuple[Step, ...]
    ops: tuple[Op, ...]
    #: The scene ends with a break, in which the hub must settle.
    settles: bool = False
    #: Seeds the delays and losses of webhooks.
    luck: int = 0


@dataclass
class Plan:
    """Draws the scenes."""

    seed: int
    day: Workload
    #: connection -> streams, parents first
    streams: Mapping[str, Sequence[str]]
    faults: Mapping[str, float]
    #: Maximum number of steps of a scene: more would exceed the change limit.
    largest: int
    #: Scenes between two breaks.
    rhythm: int = 40
    #: (name, fault) -> weight: faults of jobs that only read, and of jobs that write.
    _reading: dict[tuple[str, str], float] = field(init=False)
    _writing: dict[tuple[str, str], float] = field(init=False)

    def __post_init__(self) -> None:
        self._writing = {}
        for (fault_name, fault), weight in scripted(self.faults).items():
            self._writing[fault_name, fault] = weight
            if fault == "read":
                self._writing[fault_name, "find"] = weight
        self._reading = {
            (fault_name, fault): weight
            for (fault_name, fault), weight in self._writing.items()
            if fault in ("rate", "curt", "read")
        }
        self._often = frequency(self.faults)

    def scenes(self) -> Iterator[Scene]:
        """Yields scenes without end."""
        chance = random.Random(f"{self.seed} scenes")  # noqa: S311 - repeatable, not secret
        steps = self.day.steps()
        number = 0
        while True:
            number += 1
            small = chance.random() < 0.2
            size = int(self.largest ** chance.random()) if small else self.largest
            size = size if small else chance.randint(max(self.largest // 2, 1), size)
            typed = tuple(next(steps) for _ in range(size))
            ops = tuple(self._troubled(chance, steps))
            settles = number % self.rhythm == 0
            yield Scene(number, typed, ops, settles, chance.randrange(1 << 30))

    def _troubled(self, chance: random.Random, steps: Iterator[Step]) -> Iterator[Op]:
        """Adds faults and deaths; a write that follows meets what they left behind."""
        for planned in self._shift(chance):
            op = self._op(planned, chance, steps)
            yield op
            broken = op.fault is not None or op.dies is not None
            if op.kind == "push" and broken and chance.random() < 0.6:
                yield self._op(Op("again", op.connection), chance, steps)

    def _shift(self, chance: random.Random) -> list[Op]:
        """Returns what the hub does next: mostly a round, sometimes only parts of it, in any
        order."""
        found = [
            Op(kind, name, stream)
            for name, streams in self.streams.items()
            for stream in streams
            for kind, often in (("pull", 0.75), ("sweep", 0.05))
            if chance.random() < often
        ]
        found += [Op("inbox", name) for name in self.streams if chance.random() < 0.7]
        found += [Op("derive")] if chance.random() < 0.7 else []
        found += [Op("push", name) for name in self.streams if chance.random() < 0.8]
        if chance.random() < self.faults.get("stale", 0.0):
            name = chance.choice(list(self.streams))
            stream = chance.choice(list(self.streams[name]))
            found.append(Op(chance.choice(["delay", "arrive"]), name, stream))
        if chance.random() < self.faults.get("surprise", 0.0):
            found.append(Op("surprise", after=chance.randrange(1 << 16)))
        if chance.random() < 0.5:
            chance.shuffle(found)
        return found

    def _op(self, op: Op, chance: random.Random, steps: Iterator[Step]) -> Op:
        working = op.kind in ("pull", "sweep", "inbox", "push", "again")
        if not working:
            return op
        writing = op.kind in ("push", "again")
        faults = self._writing if writing else self._reading
        if faults and chance.random() < min((0.6 if writing else 0.25) * self._often, 0.95):
            ((fault_name, fault),) = chance.choices(list(faults), list(faults.values()))
            op = replace(op, fault=fault, fault_name=fault_name, after=chance.choice(_CALLS))
        if chance.random() < self.faults.get("kill", 0.0):
            op = replace(op, dies=chance.choice(_LIVES), found_dead=chance.random() < 0.85)
        if chance.random() < 0.2:
            at = chance.randrange(12)
            op = replace(
                op, meanwhile=(at, tuple(next(steps) for _ in range(chance.randint(1, 4))))
            )
        return op
