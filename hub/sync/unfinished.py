"""The unfinished matters of a connection: quarantined records, open reviews and conflicts.

Reads only. Changes to them are made through a ChangeSet; see storing.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection as Transaction

from hub.store import quarantine
from hub.store.conflicts import links_in_conflict
from hub.store.quarantine import Pending
from hub.store.reviews import Review, open_reviews
from hub.sync.context import Channel


def unsettled_keys(
    tx: Transaction, channel: Channel, pending: Pending, keys: Iterable[str]
) -> set[str]:
    """Returns the keys that must be compared again even if their records have not changed."""
    connection, stream = channel.connection, channel.stream
    found: set[str] = set()
    # A conflict may have been settled by a change elsewhere.
    if pending.conflicts:
        found |= links_in_conflict(tx, connection, stream)
    # A quarantined record may have returned to what it showed before.
    if pending.quarantine:
        found |= quarantine.quarantined_keys(tx, "pull", connection, stream=stream, keys=keys)
    return found


def any_quarantined(tx: Transaction, channel: Channel) -> bool:
    """Returns True if a record of this stream is in quarantine."""
    return quarantine.any_quarantined(tx, "pull", channel.connection, channel.stream)


@dataclass(frozen=True, slots=True)
class Unidentified:
    """Unlinked records of a stream that may be what is about to be created."""

    #: Fingerprint -> key of a quarantined record that has it.
    keys: Mapping[int, str]
    #: Golden id -> open review with it as a candidate.
    reviews: Mapping[str, Review]


def unidentified(tx: Transaction, channel: Channel, prints: Iterable[int]) -> Unidentified:
    """Returns the unlinked records with these fingerprints, and the reviews in this stream."""
    pending = quarantine.pending(tx, channel.connection)
    keys, reviews = dict[int, str](), dict[str, Review]()
    if pending.quarantine or pending.reviews:
        keys = quarantine.matching(tx, channel.connection, channel.stream, prints)
    if pending.reviews:
        reviews = {
            golden_id: review
            for review in open_reviews(tx)
            if (review.connection, review.stream) == (channel.connection, channel.stream)
            for golden_id in review.candidates
        }
    return Unidentified(keys, reviews)
