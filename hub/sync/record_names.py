"""Names of golden records for people: the label of the entity, and what the record refers to.

Reads the store: one query for the records and one for what they refer to.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection as Transaction

from hub.store.golden import Golden, load_golden
from hub.sync.context import Hub
from mappings.canonical.naming import in_full, name_of, parents_in, short_name


def names_of(hub: Hub, tx: Transaction, golden: Iterable[Golden]) -> dict[str, str]:
    """Returns golden id -> name, such as `Invoice 17 of Acme`."""
    found = [one for one in golden if one.entity in hub.entities]
    targets = {id_ for one in found for id_ in parents_in(hub.entities[one.entity], one.values)}
    parents = {
        id_: short
        for id_, one in load_golden(tx, targets).items()
        if one.entity in hub.entities
        and (short := short_name(hub.entities[one.entity], one.values))
    }
    return {one.id: name_of(hub.entities[one.entity], one.values, parents) for one in found}


def names_by_id(hub: Hub, tx: Transaction, golden_ids: Iterable[str]) -> dict[str, str]:
    """Returns golden id -> name, of the ids that are golden records."""
    return names_of(hub, tx, load_golden(tx, golden_ids).values())


def full_names(hub: Hub, tx: Transaction, golden: Iterable[Golden]) -> dict[str, str]:
    """Returns golden id -> name with the kind of record: `company Acme`, `Invoice 17 of Acme`."""
    found = {one.id: one for one in golden}
    names = names_of(hub, tx, found.values())
    return {
        id_: in_full(hub.entities[one.entity], names[id_]) if id_ in names else id_
        for id_, one in found.items()
    }


def name_in_full(hub: Hub, tx: Transaction, golden: Golden) -> str:
    """Returns the name of one record with its kind."""
    return full_names(hub, tx, [golden])[golden.id]
