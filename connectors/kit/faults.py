"""The faults that twins and the memory system can have: names, probabilities, seeded randomness.

One word per fault, the same for every emulator; each does what its system could do. Nothing here
acts, and every draw is seeded: the same seed and the same calls meet the same faults.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from hashlib import blake2b
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One fault: what happens, and how often by default."""

    about: str
    #: Probability per call, row, page or delivery, depending on the fault.
    chance: float = 0.02
    #: On or off for the whole run; a probability would make no sense.
    steady: bool = False


FAULTS: Mapping[str, FaultKind] = MappingProxyType(
    {
        # the line
        "throttled": FaultKind("429 with Retry-After, nothing happened"),
        "abrupt": FaultKind("429 without Retry-After, nothing happened", 0.01),
        "quota": FaultKind("403 because a quota is used up, nothing happened", 0.01),
        "down": FaultKind("5xx before the commit"),
        "lost": FaultKind("5xx after the commit"),
        "timeout": FaultKind("silence after the commit", 0.01),
        "reset": FaultKind("the connection breaks in the middle of the answer, after the commit"),
        "truncated": FaultKind("half of the JSON, as if it were whole, after the commit"),
        "html": FaultKind("a proxy's HTML page instead of JSON, before or after the commit"),
        "slow": FaultKind("the answer takes its time", 0.01),
        # who calls
        "token": FaultKind("the access token ends before its time"),
        "rotated": FaultKind(
            "refresh tokens change with each use, and answers with a new one get lost"
        ),
        # reading
        "lag": FaultKind("changes are found in searches some seconds late only", 1.0, True),
        "ties": FaultKind("many changes carry one and the same time", 1.0, True),
        "skew": FaultKind("the system's clock is wrong by minutes or hours", 1.0, True),
        "moving": FaultKind("a record is touched while pages are read, so that it moves", 0.1),
        "vanishing": FaultKind(
            "a record is deleted while pages are read, and restored later", 0.05
        ),
        "cursor": FaultKind("the cursor is not known any more", 0.01),
        # writing
        "partial": FaultKind("a part of a batch fails, or is not spoken of in the answer"),
        "refused": FaultKind("an admin's rule refuses a value, and keeps refusing it", 0.01),
        "shortened": FaultKind("texts are cut off", 1.0, True),
        "shouted": FaultKind("texts are put into upper case", 1.0, True),
        "rounded": FaultKind("figures are rounded", 1.0, True),
        "merged": FaultKind("a merge creates a third record with a new key", 1.0, True),
        # webhooks
        "duplicated": FaultKind("a webhook comes twice", 0.1),
        "reordered": FaultKind("a webhook is overtaken by later ones", 0.1),
        "delayed": FaultKind("a webhook comes seconds late", 0.1),
        "dropped": FaultKind("a webhook never comes", 0.1),
    }
)


class FaultError(ValueError):
    """A fault is unknown, or its probability is invalid; the message says what to write instead."""


Chances = Mapping[str, float]


def parse(
    text: str, kinds: Mapping[str, FaultKind] = FAULTS, *, whole: Iterable[str] | None = None
) -> dict[str, float]:
    """Parses the text of an option into fault -> probability; inactive faults are left out.

    `all` and `none` may be used as names, and later parts win: `all,down:0.2,skew:0`. `kinds` are
    the faults that there are, `whole` those of them that `all` means. Raises: FaultError.

    >>> parse("lost,down:0.2")
    {'lost': 0.02, 'down': 0.2}
    >>> parse("none"), len(parse("all")) == len(FAULTS)
    ({}, True)
    """
    chances: dict[str, float] = {}
    for part in text.split(","):
        name, colon, figure = part.strip().partition(":")
        if not part.strip():
            raise FaultError(f"a fault is missing in {text!r}; write such as lost,down:0.2")
        every = list(kinds if whole is None else whole)
        names = every if name == "all" else [] if name == "none" else [name]
        if not names:
            chances.clear()
        for one in names:
            if colon and name == "all" and kinds[one].steady:
                chances[one] = float(_figure(figure, part) > 0)
            else:
                chances[one] = _chance(one, figure if colon else None, kinds)
    return {name: chance for name, chance in chances.items() if chance > 0}


def check(chances: Chances) -> dict[str, float]:
    """Returns the faults that are on. Raises: FaultError for what is not one."""
    return {n: c for n, c in chances.items() if _chance(n, str(c), FAULTS) > 0}


def chosen(faults: str | Chances) -> dict[str, float]:
    """Returns fault -> probability from any accepted form. Raises: FaultError."""
    return parse(faults) if isinstance(faults, str) else check(faults)


def only(chances: Chances, known: Iterable[str], *, whose: str) -> None:
    """Checks that an emulator supports these faults. Raises: FaultError."""
    for name in chances:
        if name not in known:
            raise FaultError(f"{whose} cannot be {name} ({FAULTS[name].about}); leave it out")


def _chance(name: str, figure: str | None, kinds: Mapping[str, FaultKind]) -> float:
    kind = kinds.get(name)
    if kind is None:
        raise FaultError(f"there is no fault {name!r}{_nearest(name, kinds)}")
    if figure is None:
        return kind.chance
    chance = _figure(figure, f"{name}:{figure}")
    if kind.steady and chance not in (0.0, 1.0):
        raise FaultError(f"{name} is on or off and has no chance; write {name}, or {name}:0")
    return chance


def _figure(text: str, part: str) -> float:
    try:
        chance = float(text)
    except ValueError:
        chance = -1.0
    if not 0.0 <= chance <= 1.0:
        raise FaultError(f"{part.strip()!r}: a chance is a figure from 0 to 1, such as 0.2")
    return chance


def _nearest(name: str, kinds: Iterable[str]) -> str:
    close = get_close_matches(name, [*kinds, "all", "none"], n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(kinds)}"


def luck(seed: int, *about: object) -> float:
    """Returns a number from 0 up to 1 that depends on these values only.

    >>> luck(1, "lost", 7) == luck(1, "lost", 7) != luck(2, "lost", 7)
    True
    """
    mark = blake2b(repr((seed, *about)).encode(), digest_size=7).digest()
    return int.from_bytes(mark, "big") / float(1 << 56)


@dataclass
class FaultDice:
    """Active faults and their random draws; each has its own sequence. Thread-safe."""

    chances: Chances = field(default_factory=dict)
    seed: int = 0
    _drawn: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def roll(self, name: str) -> float:
        """Returns the next number from 0 up to 1 of a sequence."""
        with self._lock:
            self._drawn[name] += 1
            return luck(self.seed, name, self._drawn[name])

    def strikes(self, name: str) -> bool:
        """Returns True if a fault strikes now."""
        chance = self.chances.get(name, 0.0)
        return chance > 0 and self.roll(name) < chance

    def on(self, name: str) -> bool:
        """Returns True if a fault is switched on."""
        return self.chances.get(name, 0.0) > 0


#: Seconds that a delayed delivery takes at most, and one that is overtaken.
DELAY, DETOUR = 2.0, 0.3


def journeys(
    chances: Chances,
    roll: Callable[[str], float],
    note: Callable[[str], None] = lambda _name: None,
) -> tuple[float, ...]:
    """Returns after how many seconds each copy of a webhook arrives; none when it is lost.

    `note` is called with each fault that strikes.
    """

    def struck(name: str) -> bool:
        chance = chances.get(name, 0.0)
        strikes = chance > 0 and roll(name) < chance
        if strikes:
            note(name)
        return strikes

    if struck("dropped"):
        return ()
    wait = DELAY * roll("how late") if struck("delayed") else 0.0
    if struck("reordered"):
        wait += DETOUR * roll("how far")
    return (wait, wait + DETOUR * roll("how far")) if struck("duplicated") else (wait,)


def skew(seed: int) -> float:
    """Returns by how many seconds a clock is wrong: a minute to two hours, either way.

    >>> all(60 <= abs(skew(seed)) <= 7200 for seed in range(100))
    True
    """
    sign = 1 if luck(seed, "skew", "sign") < 0.5 else -1
    return sign * (60 + round(luck(seed, "skew") ** 2 * 7140))


#: How systems rewrite values: last part of a path -> way of writing.
WAYS: Mapping[str, Mapping[str, str]] = {
    "shouted": dict.fromkeys(("city", "town"), "upper"),
    "shortened": dict.fromkeys(("name", "title", "dealname", "firstname"), "truncate:24"),
    "rounded": dict.fromkeys(("price", "list_price", "amount", "total"), "round:1"),
}


def ways(chances: Chances) -> dict[str, str]:
    """Returns how values are rewritten, by the last part of their paths."""
    return {
        path: way
        for fault, paths in WAYS.items()
        if fault in chances
        for path, way in paths.items()
    }
