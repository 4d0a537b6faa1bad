"""The interface of a flow: its triggers, its input, and what it derives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import ClassVar, Protocol

from hub.flows.flow_input import Blocked, Derived, Fact
from hub.flows.settings import FlowSettings

#: Entity -> path from a changed record of it to the root; see steps.py.
Triggers = Mapping[str, str]
#: Name -> (entity, path from the root).
Needs = Mapping[str, tuple[str, str]]
#: Entity -> the paths and branches that are set; empty: all of them.
Outputs = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Facts:
    """The input of one derivation."""

    root: Fact
    now: datetime
    settings: FlowSettings
    #: The records found for each name in the flow's `needs`.
    found: Mapping[str, tuple[Fact, ...]] = field(default_factory=dict)
    #: Why the root cannot be written to an ERP now, for flows with `explains`.
    reason: str | None = None

    @property
    def today(self) -> date:
        """The day of the derivation, in UTC."""
        return self.now.date()

    def one(self, name: str) -> Fact | None:
        """Returns the first record found for a need, or None."""
        return next(iter(self.found[name]), None)

    def all_of(self, name: str) -> tuple[Fact, ...]:
        """Returns all records found for a need."""
        return self.found[name]


class Flow(Protocol):
    """One derivation between entities, for each root. Pure: facts in, wanted golden records out.

    A flow is a subclass in its own file and a line in registry.py.
    """

    #: The source of its quarantine entries.
    name: ClassVar[str]
    #: The entity of the golden records that it derives from.
    root: ClassVar[str]
    #: The word for a root in messages.
    noun: ClassVar[str]
    #: Changes that trigger it; a root can also be marked dirty itself.
    triggers: ClassVar[Triggers]
    #: Additional triggers: records that were deleted or merged.
    deletions: ClassVar[Triggers] = {}
    needs: ClassVar[Needs] = {}
    #: The paths that it sets, so that systems get the fields for them.
    outputs: ClassVar[Outputs] = {}
    #: True if it may return Blocked.
    can_block: ClassVar[bool] = False
    #: True if it explains to people why a root cannot be written to an ERP.
    explains: ClassVar[bool] = False
    #: The entity whose records may need a new derivation after a change of date; see `has_aged`.
    aging: ClassVar[str | None] = None

    def enabled(self, settings: FlowSettings) -> bool:
        """Returns True if the flow is switched on."""
        return True

    def applies(self, root: Fact) -> bool:
        """Returns False if there is nothing to derive from this root; then no needs are loaded."""
        return True

    def has_aged(self, record: Fact, today: date) -> bool:
        """Returns True if the derivation of an `aging` record may differ today."""
        return False

    def derive(self, facts: Facts) -> Derived | Blocked | None:
        """Returns the wanted golden record, why it cannot be derived yet, or None."""
        ...
