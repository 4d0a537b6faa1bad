"""What may go wrong in a simulation: the registry's faults of emulators, and its own.

Refuses unknown names. Only describes faults; injects none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from connectors.kit.faults import FAULTS, WAYS, Chances, FaultError, FaultKind, only, parse
from connectors.memory.faults import KNOWN, faults_of
from connectors.memory.shapes import Fault
from hub.errors import SettingsError

#: Faults of the simulation itself, in addition to the registry's.
OWN: Mapping[str, FaultKind] = MappingProxyType(
    {
        "stale": FaultKind(
            "a page that was read long ago is ingested late; in one process only", 0.5
        ),
        "kill": FaultKind("a process is killed at an arbitrary moment", 0.18),
        "surprise": FaultKind("a system shows only a part of its records for one sweep", 0.1),
        "flush": FaultKind("Redis is flushed; with real processes over Redis only", 0.3),
    }
)
#: Of these, the faults of one process only, and of real processes only.
ALONE, TOGETHER = frozenset(("stale",)), frozenset(("flush",))
#: A simulation has few webhooks: their faults keep the registry's chances.
WEBHOOKS = ("duplicated", "reordered", "delayed", "dropped")
#: So do pages: faults between them cost no time.
_AS_SAID = {*WEBHOOKS, "moving", "vanishing"}
#: The registry's other chances are meant for a few hundred calls, while a day has millions: with
#: this share of them the hub can still do its work, and every fault strikes.
CALM = 0.1
#: All values of `--faults` with their default chances.
KINDS: Mapping[str, FaultKind] = MappingProxyType(
    {
        name: kind
        if kind.steady or name in _AS_SAID
        else replace(kind, chance=round(kind.chance * CALM, 6))
        for name, kind in FAULTS.items()
    }
    | dict(OWN)
)
#: What `all` means: every fault that an emulator can have.
ALL = tuple(name for name in KINDS if name in KNOWN or name in OWN)


def chosen(text: str) -> dict[str, float]:
    """Returns fault -> chance for the text of `--faults`. Raises: SettingsError.

    >>> chosen("lost,down:0.2"), chosen("none"), list(chosen("all")) == list(ALL)
    ({'lost': 0.002, 'down': 0.2}, {}, True)
    """
    try:
        found = parse(text, KINDS, whole=ALL)
        only({name: c for name, c in found.items() if name not in OWN}, KNOWN, whose="an emulator")
    except FaultError as error:
        raise SettingsError(f"--faults: {error}") from error
    return found


def scripted(chances: Chances) -> dict[tuple[str, Fault], float]:
    """Returns (name, fault) -> weight of the faults that are planned call by call in one process.

    >>> scripted({"down": 0.2, "lag": 1.0})
    {('down', 'read'): 0.1, ('down', 'before'): 0.1}
    """
    found: dict[tuple[str, Fault], float] = {}
    for name, chance in chances.items():
        faults = faults_of(name) if name not in OWN else ()
        found |= {(name, fault): chance / len(faults) for fault in faults}
    return found


def frequency(faults: Chances) -> float:
    """Returns how much more often than by default these faults of calls strike.

    >>> frequency({"down": KINDS["down"].chance}), frequency({"down": 3 * KINDS["down"].chance})
    (1.0, 3.0)
    """
    line = [name for name in faults if faults_of(name)]
    usual = sum(KINDS[name].chance for name in line)
    return round(sum(faults[name] for name in line) / usual, 6) if usual else 0.0


def of_systems(faults: Chances, *, planned: bool) -> dict[str, float]:
    """Returns the faults that emulators inject themselves, by seed and chance.

    Changed values and webhooks are handled elsewhere; if faults of calls are `planned`, they are
    left out here.
    """
    apart = {*OWN, *WEBHOOKS, *WAYS}
    apart |= {name for name in faults if planned and (name == "slow" or faults_of(name))}
    return {name: chance for name, chance in faults.items() if name not in apart}
