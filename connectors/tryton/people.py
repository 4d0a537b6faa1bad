"""A person in Tryton: a named e-mail address of a party, and the phones that belong to it.

Tryton has no people inside a party, only contact mechanisms. A phone belongs to a person when the
hub said so in its comment, else when it carries the same name; of two addresses with one name the
older one has it. Pure: rows in, rows and values out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from connectors.tryton.stream_models import PHONES, Stream, items_at
from connectors.tryton.wire_values import marked, unmarked
from connectors.tryton.write_values import Values, added

#: In the comment of a phone: its owner, by hub id or key.
_OF = re.compile(r"(?:^|\s)tulay-phone:(\S+)")
#: In the comment of an address that was moved from another party: its previous key.
_WAS = re.compile(r"(?:^|\s)tulay-was:(\d+)")
#: In the comment of the archived address that it left behind.
_MOVED = "tulay-moved"

Row = dict[str, Any]
#: Finds rows whose comment says that they were one of these.
Successors = Callable[[Sequence[int]], Iterable[Mapping[str, Any]]]


def was(key: int) -> str:
    """Returns how a comment says which address this one was before it moved."""
    return f"tulay-was:{key}"


def complete(stream: Stream, rows: Iterable[Row], successors: Successors) -> None:
    """Gives contacts their phones, and those that moved away the key they moved to."""
    if not stream.people:
        return
    moved: dict[int, Row] = {}
    for row in rows:
        row["phones."] = phones_of(row)
        if not row.get("active") and _MOVED in str(row.get("comment") or ""):
            moved[int(row["id"])] = row
    if not moved:
        return
    for found in successors(list(moved)):
        before = _WAS.search(str(found.get("comment") or ""))
        if before is not None and int(before[1]) in moved:
            moved[int(before[1])]["replaced_by"] = found["id"]


def phones_of(row: Row) -> list[Row]:
    """Returns the phones of a contact, the oldest first.

    >>> mechanisms = [
    ...     {"id": 1, "type": "email", "name": "Ann", "active": True},
    ...     {"id": 2, "type": "phone", "name": "ann ", "active": True},
    ...     {"id": 3, "type": "phone", "name": "Bob", "active": True},
    ... ]
    >>> row = {"id": 1, "name": "Ann", "party.": {"contact_mechanisms.": mechanisms}}
    >>> [phone["id"] for phone in phones_of(row)]
    [2]
    """
    others = sorted(items_at(row, "party.contact_mechanisms"), key=lambda each: int(each["id"]))
    mails = [each for each in others if each.get("type") == "email"]
    known = {tag for mail in mails for tag in _tags(mail)}
    own, name = _tags(row), _folded(row)
    by_name = next((m["id"] for m in mails if m.get("active") and _folded(m) == name), None)
    found = []
    for each in others:
        if each.get("type") not in PHONES or not each.get("active"):
            continue
        said = _OF.search(str(each.get("comment") or ""))
        if said is not None and said[1] in known:
            mine = said[1] in own
        else:
            mine = bool(name) and _folded(each) == name and by_name == row["id"]
        if mine:
            found.append(each)
    return found


def _tags(row: Mapping[str, Any]) -> set[str]:
    once = unmarked(row.get("comment"))[1]
    return {str(row["id"]), *([once] if once else [])}


def _folded(row: Mapping[str, Any]) -> str:
    return " ".join(str(row.get("name") or "").casefold().split())


def new_phones(values: Values, external_id: str | None) -> list[Values]:
    """Takes the phones out of a new contact's values and returns them as separate rows."""
    shared = {name: values.get(name) for name in ("party", "name")}
    comment = f"tulay-phone:{external_id}" if external_id else None
    return [{**shared, "comment": comment, **phone} for phone in added(values.pop("phones", ()))]


def change(values: Values, row: Row) -> list[tuple[int, Values]]:
    """Returns, as values of parties, what changes a contact and its phones in one call.

    Nothing when the contact alone has to change.
    """
    party = int(row["party"])
    if values.get("party", party) not in (party, None):
        return _move(values, row)
    own = {name: value for name, value in values.items() if name != "phones"}
    commands = _phone_changes(values, row)
    if commands and own:
        commands.insert(0, ["write", [int(row["id"])], own])
    return [(party, {"contact_mechanisms": commands})] if commands else []


def _phone_changes(values: Values, row: Row) -> list[Any]:
    once = unmarked(row.get("comment"))[1]
    shared = {"name": values.get("name", row.get("name")), "comment": f"tulay-phone:{once}"}
    if once is None:
        shared["comment"] = f"tulay-phone:{row['id']}"
    commands: list[Any] = []
    for command in values.get("phones", ()):
        if command[0] == "create":
            commands.append(["create", [{**shared, **phone} for phone in command[1]]])
        else:
            commands.append(command)
    if "name" in values and row["phones."]:
        phones = [int(phone["id"]) for phone in row["phones."]]
        commands.insert(0, ["write", phones, {"name": values["name"]}])
    return commands


def _move(values: Values, row: Row) -> list[tuple[int, Values]]:
    """Moves a contact to another party, which Tryton refuses: it is archived and made again.

    The new one carries the old key, so that it can be found by it.
    """
    before, once = unmarked(row.get("comment"))
    text = _WAS.sub("", before or "").strip()
    arrival = f"{text} {was(row['id'])}".strip()
    fresh = {
        **{name: row.get(name) for name in ("type", "value", "name")},
        **{name: value for name, value in values.items() if name not in ("party", "phones")},
        "comment": marked(arrival, once) if once else arrival,
    }
    phones = _moved_phones(values, row)
    shared = {"name": fresh["name"], "comment": f"tulay-phone:{once}" if once else None}
    # it keeps its own old keys as well: people move more than once
    mail = {"active": False, "comment": f"{before or ''} {_MOVED}".strip()}
    commands = [["write", [int(row["id"])], mail]]
    if row["phones."]:
        commands.append(["write", [int(p["id"]) for p in row["phones."]], {"active": False}])
    return [
        (int(row["party"]), {"contact_mechanisms": commands}),
        (
            int(values["party"]),
            {"contact_mechanisms": [["create", [fresh, *({**shared, **p} for p in phones)]]]},
        ),
    ]


def _moved_phones(values: Values, row: Row) -> list[Values]:
    phones = {int(p["id"]): {"type": p["type"], "value": p["value"]} for p in row["phones."]}
    for command in values.get("phones", ()):
        if command[0] == "create":
            continue
        for key in command[1]:
            if command[0] == "delete" or command[2].get("active") is False:
                phones.pop(key, None)
            elif key in phones:
                phones[key] |= command[2]
    return [*phones.values(), *added(values.get("phones", ()))]


def leave(row: Row) -> list[tuple[int, Values]]:
    """Returns what archives a contact together with its phones."""
    keys = [int(row["id"]), *(int(phone["id"]) for phone in row["phones."])]
    return [(int(row["party"]), {"contact_mechanisms": [["write", keys, {"active": False}]]})]
