"""Decides which of the records that a golden record has in a stream is written to.

Merges in a remote system may leave a golden record several records in one stream. One of them has
the primary link and is written to, the others are secondaries. As long as one of them lives,
nothing is created.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection as Transaction

from hub.store.golden import load_golden
from hub.store.links import Link, links_by_golden
from hub.sync.changeset import ChangeSet
from hub.sync.context import Channel


def primary_link(links: Sequence[Link], channel: Channel) -> Link | None:
    """Returns the primary link of a golden record in a stream, even if its record is gone."""
    return next((n for n in links if n.stream == channel.stream and n.is_primary), None)


def next_primaries(tx: Transaction, channel: Channel, going: Mapping[str, Link]) -> dict[str, Link]:
    """Returns {golden id: remaining secondary} of golden records that lose their primary.

    Deleting one of two records of a golden record does not delete the golden record.
    """
    ids = {n.golden_id for n in going.values() if n.golden_id and n.is_primary and not n.gone_at}
    found: dict[str, Link] = {}
    for golden_id, links in links_by_golden(tx, ids, connection=channel.connection).items():
        for link in links:
            lives_here = link.stream == channel.stream and link.gone_at is None
            if lives_here and not link.is_primary and link.key not in going:
                found.setdefault(golden_id, link)
    return found


def hand_over_primary(link: Link, successor: Link, *, changes: ChangeSet) -> None:
    """Makes a secondary primary instead of a record that is gone."""
    link.is_primary = False
    changes.link_changed(link)
    successor.is_primary = True
    changes.link_changed(successor)


def make_primary(tx: Transaction, link: Link, *, changes: ChangeSet) -> None:
    """Makes a secondary primary where there is none, and enqueues what it lacks."""
    link.is_primary = True
    changes.link_changed(link)
    for golden in load_golden(tx, [str(link.golden_id)]).values():
        changes.enqueue(link.connection, golden)


def siblings(
    tx: Transaction, channel: Channel, links: Mapping[str, Link], known: Mapping[str, str]
) -> Mapping[str, Sequence[Link]]:
    """Returns {golden id: all its links here} where a deleted record may be restored.

    `known`, {key: golden id}, are the golden records that unlinked records are about to join.
    """
    gone = [n for n in links.values() if n.gone_at is not None]
    ids = [n.golden_id for n in gone if n.golden_id and not n.is_primary]
    ids += [known[n.key] for n in gone if n.golden_id is None and n.key in known]
    return links_by_golden(tx, ids, connection=channel.connection)


def restore_link(link: Link, others: Sequence[Link], *, changes: ChangeSet) -> None:
    """Makes a restored secondary primary, unless another record is primary and lives.

    `others` are the links of its golden record.
    """
    known = [
        changes.current_link(other)
        for other in others
        if other.stream == link.stream and other.key != link.key
    ]
    primary = next((other for other in known if other.is_primary), None)
    if primary is not None and primary.gone_at is None:
        return
    if primary is not None:
        primary.is_primary = False
        changes.link_changed(primary)
    link.is_primary = True
