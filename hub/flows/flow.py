"""What a flow is: which changes concern it, what it needs to see, and what it derives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import ClassVar, Protocol

from hub.flows.facts import Blocked, Derived, Fact
from hub.flows.settings import FlowSettings

#: Entity -> path from a changed record of it to the root; see steps.py.
Triggers = Mapping[str, str]
#: Name -> (entity, path from the root).
Needs = Mapping[str, tuple[str, str]]
#: Entity -> the paths and branches that are set; none: all of them.
Outputs = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that one derivation may look at."""

    root: Fact
    now: datetime
    settings: FlowSettings
    #: What was found for each name of the flow's `needs`.
    found: Mapping[str, tuple[Fact, ...]] = field(default_factory=dict)
    #: Why the root cannot be written to an ERP now, for flows with `explains`.
    reason: str | None = None

    @property
    def today(self) -> date:
        """The day of the derivation, in UTC."""
        return self.now.date()

    def one(self, name: str) -> Fact | None:
        """Returns the record found for a need, the first of several, None if there is none."""
        return next(iter(self.found[name]), None)

    def all_of(self, name: str) -> tuple[Fact, ...]:
        """Returns all records found for a need."""
        return self.found[name]


class Flow(Protocol):
    """One derivation between entities, for each root. Pure: facts in, wanted golden records out.

    A flow is a subclass in a file of its own and a line in registry.py.
    """

    #: The source of its quarantine entries.
    name: ClassVar[str]
    #: The entity of the golden records that it derives from.
    root: ClassVar[str]
    #: What people call a root, for messages.
    noun: ClassVar[str]
    #: Changes that make it derive again; a root can also be marked dirty itself.
    triggers: ClassVar[Triggers]
    #: Further ones, of records that were deleted or merged into others.
    deletions: ClassVar[Triggers] = {}
    needs: ClassVar[Needs] = {}
    #: What it sets, so that systems get the fields for it.
    outputs: ClassVar[Outputs] = {}
    #: True if it may return Blocked.
    can_block: ClassVar[bool] = False
    #: True if it tells people why a root cannot be written to an ERP.
    explains: ClassVar[bool] = False
    #: The entity whose records may call for a derivation because a day has passed; see `has_aged`.
    aging: ClassVar[str | None] = None

    def enabled(self, settings: FlowSettings) -> bool:
        """Returns True if the flow is switched on."""
        return True

    def applies(self, root: Fact) -> bool:
        """Returns False if there is nothing to derive from this root; then no needs are loaded."""
        return True

    def has_aged(self, record: Fact, today: date) -> bool:
        """Returns True if what is derived from a record of `aging` may be another one today."""
        return False

    def derive(self, facts: Facts) -> Derived | Blocked | None:
        """Returns the golden record that should be, why it cannot be yet, or None."""
        ...
