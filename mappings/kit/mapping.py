"""A mapping: all lenses of one stream, compiled; all that the hub sees of a mapping file."""

from __future__ import annotations

from collections.abc import Mapping as ReadOnly
from dataclasses import dataclass
from typing import Any, Protocol

from mappings.canonical.values import Entity, Scalar, Values


def declared_path(path: str) -> str:
    """Returns the declared form of a path: list items by their list.

    >>> declared_path("lines[SKU-1].product"), declared_path("address.city")
    ('lines[].product', 'address.city')
    """
    if "[" not in path:
        return path
    head, _, rest = path.partition("[")
    return f"{head}[].{rest.rpartition('].')[2]}"


@dataclass(frozen=True, slots=True)
class CustomField:
    """A field that a system does not have by default and that must be created once."""

    name: str
    #: text | number | integer | boolean | date | datetime | enum
    type: str
    label: str
    #: The options of an enum, in the system's words.
    options: tuple[str, ...] = ()
    #: The canonical path that fills it.
    path: str = ""


class Mapping(Protocol):
    """Translates one stream of one system from and to one entity. Pure; never uses the network.

    Paths of list items are written `lines[KEY].quantity`; declarations about all items
    `lines[].quantity`.
    """

    #: The names of the system and the stream, and the entity.
    system: str
    stream: str
    entity: Entity
    #: Changes whenever the mapping's meaning may have changed.
    fingerprint: str
    #: False: records of the system that the hub did not write are not imported.
    imports: bool
    #: Values of every record of this stream (`kind: task`): added by `read`, ignored by `write`;
    #: a golden record with other values does not belong to this stream.
    constants: Values
    #: Canonical paths without which a record cannot be created in the system.
    requires: tuple[str, ...]
    #: State -> action that reaches it, for entities with a state machine.
    actions: ReadOnly[str, str]
    #: Declared reference paths -> stream of this system that they point to.
    references: ReadOnly[str, str]
    #: Fields of the system that `prepare` must create.
    custom_fields: tuple[CustomField, ...]
    #: Field names of the system -> file and line that map them, for `tulay check`.
    names: ReadOnly[str, str]
    #: File and line of `stream:`, for errors about the whole.
    declared_at: str

    def read(self, payload: ReadOnly[str, Any]) -> Values:
        """Translates a whole record. Every mapped plain path is present; blanks are None.

        References hold the system's key. List items appear with all their mapped paths.
        Raises: LensError.
        """
        ...

    def legible(self, payload: ReadOnly[str, Any]) -> Values:
        """Translates the plain paths that can be translated of a record that `read` refuses."""
        ...

    def write(
        self, values: ReadOnly[str, Scalar], current: ReadOnly[str, Any] | None
    ) -> dict[str, Any]:
        """Translates some values into a patch of the record `current` (None: a new record).

        Only the paths given are written, in the system's own words and nesting. References must
        already hold the system's key. Raises: LensError.
        """
        ...

    def writable(self, path: str) -> bool:
        """Returns True if the hub may write this path (mapped, and not `mode: read`)."""
        ...

    def readable(self, path: str) -> bool:
        """Returns True if edits in the remote system count: mapped, and not `mode: write`."""
        ...

    def mapped(self, path: str) -> bool:
        """Returns True if this mapping covers the path at all, list items included."""
        ...

    def describe(self, values: ReadOnly[str, Scalar]) -> str:
        """Returns the name of a record for people, in one line."""
        ...
