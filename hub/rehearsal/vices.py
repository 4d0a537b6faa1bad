"""What may go wrong in a rehearsal: names for people, and what each does to a stand-in.

Refuses names it does not know. Nothing here acts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from connectors.memory.shapes import Fault
from hub.errors import SettingsError
from mappings.kit.files import nearest


@dataclass(frozen=True, slots=True)
class Vice:
    """One thing that goes wrong."""

    about: str
    #: Faults of the memory system that make it, one call each.
    faults: tuple[Fault, ...] = ()


VICES: Mapping[str, Vice] = MappingProxyType(
    {
        "throttled": Vice("a call is refused because of the rate limit", ("rate",)),
        "down": Vice("a system does not answer, nothing happened", ("before", "read", "find")),
        "lost": Vice("a write happens and its answer is lost", ("lost",)),
        "partial": Vice("a part of a batch happens, or is not spoken of", ("partial", "row_lost")),
        "slow": Vice("answers take their time"),
        "lag": Vice("changes are found in searches some seconds late only"),
        "cursor": Vice("a cursor is not known any more"),
        "skew": Vice("a system's clock is wrong"),
        "shortened": Vice("a system cuts texts off"),
        "shouted": Vice("a system puts texts into upper case"),
        "rounded": Vice("a system rounds figures"),
        "dropped": Vice("a webhook never comes"),
        "duplicated": Vice("a webhook comes twice"),
        "delayed": Vice("a webhook comes late"),
        "stale": Vice("a page that was read long ago arrives at last"),
        "kill": Vice("a process is killed at any moment"),
    }
)


def chosen(text: str) -> tuple[str, ...]:
    """Returns the vices that a person asked for, in the order of the table. Raises: SettingsError.

    >>> chosen("lost, down"), chosen("none"), len(chosen("all")) == len(VICES)
    (('down', 'lost'), (), True)
    """
    names = [word.strip() for word in text.split(",")]
    if names == ["none"]:
        return ()
    if names == ["all"]:
        return tuple(VICES)
    for name in names:
        if name not in VICES:
            known = ", ".join(VICES)
            hint = nearest(name, VICES)
            raise SettingsError(f"--vices: there is no vice {name!r}{hint}; there are: {known}")
    return tuple(name for name in VICES if name in names)


def faults_of(vices: Iterable[str]) -> tuple[Fault, ...]:
    """Returns the faults of single calls that these vices make."""
    return tuple(fault for name in vices for fault in VICES[name].faults)
