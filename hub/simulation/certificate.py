"""The certificate of a simulation: figures, promises, and the command that repeats it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: The promises, in the words of the README.
PROMISES: Mapping[str, str] = {
    "P1": "nothing is lost",
    "P2": "no duplicates",
    "P3": "it converges",
    "P4": "no echo",
    "P5": "at least once, never skipped",
    "P6": "one bad record stops no other",
    "P7": "an older state never replaces a newer one",
    "P8": "deleted records stay deleted",
    "P9": "unusually large changes wait for approval",
    "P10": "counts add up",
    "P11": "any process may die, Redis may be flushed",
    "P12": "a blank never overwrites",
}
#: Promises that are broken along with another: what is skipped, overwritten or forgotten is lost.
_SEEN_BY = {"P5": "P1", "P7": "P1", "P11": "P1"}
#: Promises that are only tested if one of these faults has struck.
_TRIED_BY = {
    "P5": ("cursor", "kill", "lost", "timeout", "reset", "truncated", "duplicated", "delayed"),
    "P7": ("stale", "reordered", "delayed", "kill", "moving"),
    "P9": ("surprise",),
    "P11": ("kill", "flush"),
}


@dataclass
class Certificate:
    """What is printed; `document` is its JSON."""

    seed: int
    faults: Sequence[str]
    workers: int
    database: str
    queues: str
    changes: int
    propagated: int
    superseded: int
    conflicts: int
    waiting: int
    #: Overwritten by the hub between its read and its write, where the system offers no lock.
    overwritten: int
    lost: int
    duplicates: int
    echo_writes: int
    quiet: bool
    #: connection -> calls
    calls: Mapping[str, int]
    #: connection -> share of the calls that its documented limit allows in a working day
    quota: Mapping[str, float]
    latency: Mapping[str, float | None]
    seconds: float
    #: Length of the day on the simulation's clock, in seconds.
    day: float
    command: str
    broken: Mapping[str, Sequence[str]] = field(default_factory=dict)
    #: The shortest history that breaks the promise.
    story: Sequence[str] = ()
    struck: Mapping[str, int] = field(default_factory=dict)
    verbs: Mapping[str, int] = field(default_factory=dict)
    surprises: int = 0
    decisions: int = 0
    #: What still waits for a person: kind -> number.
    left: Mapping[str, int] = field(default_factory=dict)
    over_time: Sequence[tuple[float, int]] = ()
    latencies: Sequence[tuple[float, int]] = ()

    @property
    def kept(self) -> bool:
        """Returns True if every promise was kept."""
        return not self.broken

    @property
    def promises(self) -> dict[str, str]:
        """Returns promise -> kept, broken, or not tried (no fault that could break it has
        struck)."""
        return {name: self._state(name) for name in PROMISES}

    def _state(self, name: str) -> str:
        if name in self.broken or _SEEN_BY.get(name) in self.broken:
            return "broken"
        tried = name not in _TRIED_BY or any(self.struck.get(fault) for fault in _TRIED_BY[name])
        return "kept" if tried else "not tried"

    def document(self) -> dict[str, Any]:
        """Returns the JSON document."""
        return {
            "changes": self.changes,
            "propagated": self.propagated,
            "superseded": self.superseded,
            "conflicts": self.conflicts,
            "waiting": self.waiting,
            "overwritten": self.overwritten,
            "lost": self.lost,
            "duplicates": self.duplicates,
            "echo_writes": self.echo_writes,
            "api_calls": sum(self.calls.values()),
            "calls": dict(self.calls),
            "quota": dict(self.quota),
            "latency": dict(self.latency),
            "seed": self.seed,
            "vices": list(self.faults),
            "struck": dict(self.struck),
            "workers": self.workers,
            "database": self.database,
            "queues": self.queues,
            "quiet": self.quiet,
            "promises": self.promises,
            "broken": {name: list(what) for name, what in self.broken.items()},
            "story": list(self.story),
            "surprises": self.surprises,
            "decisions": self.decisions,
            "left": dict(self.left),
            "seconds": round(self.seconds, 1),
            "day_seconds": round(self.day, 1),
            "command": self.command,
        }

    def rows(self) -> list[tuple[str, str]]:
        """Returns (name, figure) for display."""
        share = ", ".join(f"{name} {part:.1%}" for name, part in self.quota.items())
        times = ", ".join(
            f"{name} {'-' if value is None else f'{value:.1f} s'}"
            for name, value in self.latency.items()
        )
        rate = self.changes / self.seconds if self.seconds else 0.0
        return [
            ("changes made", f"{self.changes:,}"),
            ("propagated", f"{self.propagated:,}"),
            ("superseded", f"{self.superseded:,} (kept in history)"),
            ("in conflict", f"{self.conflicts:,}"),
            ("waiting for a person", f"{self.waiting:,}"),
            ("overwritten unread", f"{self.overwritten:,} (systems without a lock)"),
            ("lost", f"{self.lost:,}"),
            ("duplicates", f"{self.duplicates:,}"),
            ("echo writes", f"{self.echo_writes:,}"),
            ("quiet at the end", "yes" if self.quiet else "no"),
            ("api calls", f"{sum(self.calls.values()):,} ({share} of a day's limit)"),
            ("latency", times + ("" if self.workers > 1 else ", on the simulation's clock")),
            ("conflicts decided", f"{self.decisions:,}"),
            ("large changes held", f"{self.surprises:,}"),
            ("faults", ", ".join(f"{n} {name}" for name, n in self.struck.items()) or "none"),
            ("on", f"{self.database}, {self.queues}, {self.workers} workers"),
            ("took", f"{self.seconds:.0f} s, {rate:.0f} changes a second"),
        ]
