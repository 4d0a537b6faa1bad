"""The two sides of a conflict, by the names of their systems in tulay.yaml.

Pure. The store says `ours` (the golden value, set by some system or person) and `theirs`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from hub.errors import DecisionError
from hub.store.conflicts import Conflict
from hub.store.golden import Golden
from hub.store.links import Link
from mappings.canonical.values import Scalar

Side = Literal["ours", "theirs"]

#: The name of the hub's side if no other system is known to have set its value.
HUB = "hub"


def holder_of(row: Conflict, golden: Golden) -> str:
    """Returns the origin of the hub's value: a connection, a flow, a person, or the hub."""
    entry = golden.origins.get(row.path)
    origin = str(entry[0]) if entry else golden.origin
    if origin == row.connection or golden.values.get(row.path) != row.ours:
        return HUB
    return origin


def values_of(row: Conflict, golden: Golden) -> dict[str, Scalar]:
    """Returns {name of the side: its value}; the first one is the hub's."""
    return {holder_of(row, golden): row.ours, row.connection: row.theirs}


def decided_of(row: Conflict, golden: Golden) -> str | None:
    """Returns how a conflict ended: the name of the chosen side, or another resolution."""
    if row.resolution == "ours":
        return holder_of(row, golden)
    resolution: str | None = row.connection if row.resolution == "theirs" else None
    return resolution or row.resolution


def side_of(row: Conflict, golden: Golden, links: Iterable[Link], *, take: str) -> Side:
    """Returns the side that a name means; `ours` and `theirs` are accepted as old names.

    Another system that shows the value of one side stands for that side. Raises: DecisionError.
    """
    values = values_of(row, golden)
    holder = holder_of(row, golden)
    if take in (holder, row.connection):
        return "ours" if take == holder else "theirs"
    shown = {link.state.seen_at(row.path) for link in links if link.connection == take}
    if row.ours in shown:
        return "ours"
    if row.theirs in shown:
        return "theirs"
    if not shown and take in (HUB, "ours"):
        return "ours"
    if not shown and take == "theirs":
        return "theirs"
    options = ", ".join(f"--take {name}" for name in values)
    raise DecisionError(
        f"conflict {row.id} is not about a value of {take!r}; use {options} or --value TEXT"
    )
