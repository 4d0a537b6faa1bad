"""Which of the records that a thing has in a stream is written to.

Merges elsewhere give a thing several records in one stream. One of them has its place and is
written to (`spare` 0), the others are further ones. While one of them lives, the place is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b

from sqlalchemy import Connection as Transaction

from hub.store.golden import load_golden
from hub.store.links import Link, change_links, links_by_golden
from hub.sync.changeset import Consequences
from hub.sync.context import Channel


def written_link(links: Sequence[Link], channel: Channel) -> Link | None:
    """Returns the link of a golden record that is written to in a stream, be its record gone."""
    return next((n for n in links if n.stream == channel.stream and n.spare == 0), None)


def further(key: str) -> int:
    """Returns a number for a further link that has no id yet; never one of another link."""
    return -1 - int.from_bytes(blake2b(key.encode(), digest_size=6).digest(), "big")


def heirs(tx: Transaction, channel: Channel, going: Mapping[str, Link]) -> dict[str, Link]:
    """Returns golden id -> the further record that is left of things that lose their written one.

    Who deletes one of two records of a thing has not deleted the thing.
    """
    ids = {n.golden_id for n in going.values() if n.golden_id and n.spare == 0 and not n.gone_at}
    found: dict[str, Link] = {}
    for golden_id, links in links_by_golden(tx, ids, connection=channel.connection).items():
        for link in links:
            here = link.stream == channel.stream and link.gone_at is None
            if here and link.spare and link.key not in going:
                found.setdefault(golden_id, link)
    return found


def leave_to(tx: Transaction, link: Link, heir: Link, *, then: Consequences) -> None:
    """A record that is gone leaves its place to a further one."""
    link.spare = link.id or 0
    change_links(tx, [link])
    write_to(tx, heir, then=then)


def write_to(tx: Transaction, link: Link, *, then: Consequences) -> None:
    """A further record gets the place, which is free, and is told what it lacks."""
    link.spare = 0
    change_links(tx, [link])
    for golden in load_golden(tx, [str(link.golden_id)]).values():
        then.wish(link.connection, golden)


def come_back(tx: Transaction, link: Link, page: Mapping[str, Link]) -> None:
    """A further record that was gone and lives again gets the place, unless another one has it.

    `page` are the links of the page at hand by key, as they are by now.
    """
    golden_id = str(link.golden_id)
    found = links_by_golden(tx, [golden_id], connection=link.connection)
    others = [
        page.get(other.key, other)
        for other in found.get(golden_id, [])
        if other.stream == link.stream and other.key != link.key
    ]
    placed = next((other for other in others if other.spare == 0), None)
    if placed is not None and placed.gone_at is None:
        return
    if placed is not None:
        placed.spare = placed.id or 0
        change_links(tx, [placed])
    link.spare = 0
