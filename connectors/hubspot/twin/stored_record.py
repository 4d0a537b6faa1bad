"""One record, with its history and links, and what HubSpot works out from its values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from connectors.hubspot.twin.properties_schema import Kind
from connectors.hubspot.twin.property_values import iso

#: (category, association type id): one label of a link.
Label = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Source:
    """Who changed something, as shown in the property history and in webhooks."""

    type: str
    id: str
    label: str = ""


UI = Source("CRM_UI", "userId:5001")
API = Source("INTEGRATION", "880011")


@dataclass(frozen=True, slots=True)
class Change:
    """One former or present value of a property."""

    name: str
    value: str
    at: int
    source: Source


class Record:
    """One row; times are milliseconds since 1970."""

    __slots__ = (
        "archived",
        "created",
        "history",
        "id",
        "kind",
        "links",
        "merged",
        "shadows",
        "source",
        "updated",
        "values",
    )

    def __init__(self, kind: Kind, key: int, at: int, *, source: Source = API) -> None:
        self.kind = kind
        self.id = key
        self.values: dict[str, str] = {}
        self.created = at
        self.updated = at
        self.archived: int | None = None
        self.source = source
        #: Changes after the creation, oldest first.
        self.history: list[Change] | None = None
        #: Object type -> record id -> labels; the primary one is not necessarily first.
        self.links: dict[str, dict[int, tuple[Label, ...]]] = {}
        #: Ids of the records that were merged into this one.
        self.merged: tuple[int, ...] = ()
        #: What a lagging search index still shows: (until, values, updated), oldest first.
        self.shadows: list[tuple[int, dict[str, str] | None, int]] | None = None

    def value(self, name: str) -> str | None:
        """Returns a property's value, worked out or stored."""
        worked_out = _WORKED_OUT.get(name)
        if worked_out is not None:
            return worked_out(self)
        if name in self.values:
            return self.values[name]
        derived = _DERIVED.get((self.kind.name, name))
        return derived(self) if derived is not None else None

    def plain(self, name: str) -> str | int | None:
        """Returns a property's value; the record's own times and id as numbers (it is faster)."""
        number = _NUMBERS.get(name)
        return self.value(name) if number is None else number(self)

    def remember(self, changed: Mapping[str, str | None], source: Source) -> None:
        """Adds values that are about to change to the history; `updated` is their time."""
        history = self.history if self.history is not None else []
        known = {change.name for change in history}
        for name, text in changed.items():
            if name not in known and name in self.values:
                history.append(Change(name, self.values[name], self.created, self.source))
            history.append(Change(name, text or "", self.updated, source))
        self.history = history

    def changes(self, name: str) -> list[Change]:
        """Returns all values a property ever had, newest first."""
        later = [change for change in self.history or () if change.name == name]
        now = self.value(name)
        if not later and now is not None:
            later = [Change(name, now, self.created, self.source)]
        return later[::-1]


def merged_record(winner: Record, loser: Record, *, key: int, source: Source) -> Record:
    """Returns the record that two become: the winner's values, and those only the loser has."""
    new = Record(winner.kind, key, min(winner.created, loser.created), source=source)
    new.history = list(winner.history or ())
    new.values = {**loser.values, **winner.values}
    new.merged = (*winner.merged, *loser.merged, winner.id, loser.id)
    if email := other_email(new, loser):
        others = [*new.values.get("hs_additional_emails", "").split(";"), email]
        new.values["hs_additional_emails"] = ";".join(filter(None, others))
    return new


def other_email(new: Record, loser: Record) -> str | None:
    """Returns the e-mail of a merged contact that is not the survivor's first one."""
    email = loser.values.get("email") if new.kind.name == "contacts" else None
    return email if email and email != new.values.get("email") else None


Worked = Callable[[Record], str | None]


def _decimal(text: str | None) -> Decimal:
    try:
        return Decimal(text or "0")
    except InvalidOperation:
        return Decimal(0)


def _amount(record: Record) -> str | None:
    """Works out a line's amount: quantity times price, less the discounts."""
    price, quantity = record.values.get("price"), record.values.get("quantity")
    if price is None or quantity is None:
        return None
    percent = _decimal(record.values.get("hs_discount_percentage")) / 100
    total = _decimal(quantity) * (_decimal(price) * (1 - percent))
    total -= _decimal(quantity) * _decimal(record.values.get("discount"))
    return f"{total.normalize():f}"


def _flag(*stages: str) -> Worked:
    return lambda record: "true" if record.values.get("dealstage") in stages else "false"


def _completed(record: Record) -> str:
    return "1" if record.values.get("hs_task_status") == "COMPLETED" else "0"


def _merged(record: Record) -> str | None:
    return ";".join(map(str, record.merged)) or None


_WORKED_OUT: dict[str, Worked] = {
    "hs_object_id": lambda record: str(record.id),
    "createdate": lambda record: iso(record.created),
    "hs_createdate": lambda record: iso(record.created),
    "lastmodifieddate": lambda record: iso(record.updated),
    "hs_lastmodifieddate": lambda record: iso(record.updated),
    "hs_merged_object_ids": _merged,
    "hs_object_source": lambda record: record.source.type,
    "hs_object_source_id": lambda record: record.source.id,
}
_DERIVED: dict[tuple[str, str], Worked] = {
    ("line_items", "amount"): _amount,
    ("deals", "hs_is_closed"): _flag("closedwon", "closedlost"),
    ("deals", "hs_is_closed_won"): _flag("closedwon"),
    ("tasks", "hs_task_is_completed"): _completed,
}
_NUMBERS: dict[str, Callable[[Record], int]] = {
    "hs_object_id": lambda record: record.id,
    "createdate": lambda record: record.created,
    "hs_createdate": lambda record: record.created,
    "lastmodifieddate": lambda record: record.updated,
    "hs_lastmodifieddate": lambda record: record.updated,
}
