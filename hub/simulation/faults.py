"""What may go wrong in a rehearsal: faults of emulators from the registry, and its own.

Refuses names it does not know. Nothing here acts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from connectors.kit.faults import FAULTS, WAYS, Chances, FaultError, FaultKind, only, parse
from connectors.memory.faults import KNOWN, faults_of
from connectors.memory.shapes import Fault
from hub.errors import SettingsError

#: What a rehearsal can do beside the registry's faults.
OWN: Mapping[str, FaultKind] = MappingProxyType(
    {
        "stale": FaultKind(
            "a page that was read long ago arrives at last; in one process only", 0.5
        ),
        "kill": FaultKind("a process is killed at any moment", 0.18),
        "surprise": FaultKind("a system shows only a part of its records for one sweep", 0.1),
        "flush": FaultKind("Redis forgets what it holds; with real processes over Redis only", 0.3),
    }
)
#: Of these, what only the story of one process has, and what only real processes meet.
ALONE, TOGETHER = frozenset(("stale",)), frozenset(("flush",))
#: Webhooks are few in a rehearsal: their faults strike as often as the registry says.
WEBHOOKS = ("duplicated", "reordered", "delayed", "dropped")
#: Pages, too: what happens between them costs nobody time.
_AS_SAID = {*WEBHOOKS, "moving", "vanishing"}
#: The registry's other chances are meant for some hundred calls, a day has millions: with so much
#: of each a day stays a day of work, and all of them strike in it.
CALM = 0.1
#: All words of `--faults`, each with its chance when nobody says.
KINDS: Mapping[str, FaultKind] = MappingProxyType(
    {
        name: kind
        if kind.steady or name in _AS_SAID
        else replace(kind, chance=round(kind.chance * CALM, 6))
        for name, kind in FAULTS.items()
    }
    | dict(OWN)
)
#: What `all` means: everything that a stand-in can have.
ALL = tuple(name for name in KINDS if name in KNOWN or name in OWN)


def chosen(text: str) -> dict[str, float]:
    """Returns fault -> chance of what a person asked for. Raises: SettingsError.

    >>> chosen("lost,down:0.2"), chosen("none"), list(chosen("all")) == list(ALL)
    ({'lost': 0.002, 'down': 0.2}, {}, True)
    """
    try:
        found = parse(text, KINDS, whole=ALL)
        only({name: c for name, c in found.items() if name not in OWN}, KNOWN, whose="a stand-in")
    except FaultError as error:
        raise SettingsError(f"--faults: {error}") from error
    return found


def scripted(chances: Chances) -> dict[tuple[str, Fault], float]:
    """Returns (fault, fault) -> weight, of what a rehearsal in one process plans call by call.

    >>> scripted({"down": 0.2, "lag": 1.0})
    {('down', 'read'): 0.1, ('down', 'before'): 0.1}
    """
    found: dict[tuple[str, Fault], float] = {}
    for name, chance in chances.items():
        faults = faults_of(name) if name not in OWN else ()
        found |= {(name, fault): chance / len(faults) for fault in faults}
    return found


def frequency(faults: Chances) -> float:
    """Returns how much more often than usual these faults of the line strike.

    >>> frequency({"down": KINDS["down"].chance}), frequency({"down": 3 * KINDS["down"].chance})
    (1.0, 3.0)
    """
    line = [name for name in faults if faults_of(name)]
    usual = sum(KINDS[name].chance for name in line)
    return round(sum(faults[name] for name in line) / usual, 6) if usual else 0.0


def of_systems(faults: Chances, *, planned: bool) -> dict[str, float]:
    """Returns the faults that stand-ins have by themselves, by seed and chance.

    Costumes see to ways of writing, the rehearsal sends webhooks; when the faults of the line are
    `planned`, they are left out here.
    """
    apart = {*OWN, *WEBHOOKS, *WAYS}
    apart |= {name for name in faults if planned and (name == "slow" or faults_of(name))}
    return {name: chance for name, chance in faults.items() if name not in apart}
