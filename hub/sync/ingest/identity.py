"""Identity: finds the golden record of each record that has no link yet.

In order: the external id it carries, a person's decision, the match rules; otherwise it starts a
new golden record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection as Transaction

from hub.model.matching import (
    Candidate,
    Fingerprint,
    Linked,
    Unclear,
    certain_prints,
    decide,
    fingerprints,
)
from hub.store import in_doubt, merges
from hub.store.engine import lock_identities
from hub.store.fingerprints import candidates_for
from hub.store.golden import Golden, load_golden
from hub.store.links import gone_here, links_by_golden
from hub.store.reviews import review_decisions
from hub.sync.context import Channel
from hub.sync.ingest.read_record import ReadContext, ReadRecord, WrittenValues
from mappings.canonical.values import Values


@dataclass(slots=True)
class IdentityMatches:
    """What is known about the identity of records without a link."""

    #: key -> golden id of an existing golden record.
    known: dict[str, str] = field(default_factory=dict)
    #: Of these, the keys of records that carry our external id: the hub has created them.
    created: set[str] = field(default_factory=set)
    #: Of these, the keys of records whose golden record already has a primary link in this stream.
    secondary: set[str] = field(default_factory=set)
    #: key -> the golden id under which it was created; not in `known` if that was merged since.
    made: dict[str, str] = field(default_factory=dict)
    #: key -> why a person must decide.
    unclear: dict[str, Unclear] = field(default_factory=dict)
    #: key -> fingerprints, of the records that were compared by them.
    prints: dict[str, list[Fingerprint]] = field(default_factory=dict)
    #: key -> what the hub sent in a create in doubt.
    recalled: dict[str, WrittenValues] = field(default_factory=dict)
    #: key -> the same, where the record may have another author.
    in_doubt: dict[str, Values] = field(default_factory=dict, repr=False)
    #: Golden records that had a record in this stream which is gone.
    gone_before: set[str] = field(default_factory=set)


def identify_unlinked(
    tx: Transaction, context: ReadContext, unlinked: Sequence[ReadRecord]
) -> IdentityMatches:
    """Returns the identities of these records, and what the hub itself has written to them."""
    found, channel = IdentityMatches(), context.channel
    written = {one.key: context.written[one.key] for one in unlinked if one.key in context.written}
    others = [one for one in unlinked if one.key not in written]
    if others:
        found = identify(tx, channel, others, reviewed=context.pending.reviews)
        _recall(tx, channel, found)
    if written:
        _recognise_own(tx, channel, {k: one.golden_id for k, one in written.items()}, found=found)
    if found.known:
        ids = list(found.known.values())
        found.gone_before = gone_here(tx, channel.connection, channel.stream, ids)
    return found


def _recall(tx: Transaction, channel: Channel, found: IdentityMatches) -> None:
    """Looks up what was sent to create the records whose creation was in doubt."""
    # Without an external id the record may have another author. Then only values that match
    # what was sent, as that system spells it, count as an echo.
    nameless = channel.facts.once is None
    keys = found.known if nameless else found.created
    made = {key: found.made.get(key, found.known[key]) for key in keys}
    if not made:
        return
    sent = in_doubt.creates_of(tx, channel.connection, set(made.values()))
    for key, golden_id in made.items():
        if golden_id not in sent:
            continue
        if nameless:
            found.in_doubt[key] = sent[golden_id]
        else:
            found.recalled[key] = WrittenValues(golden_id, sent[golden_id], certain=False)


def identify(
    tx: Transaction, channel: Channel, read: Sequence[ReadRecord], *, reviewed: bool = True
) -> IdentityMatches:
    """Returns which golden records these records belong to; unknown records are left out.

    Holds the entity's identity lock until the transaction ends, so that two connections that show
    the same new record at the same moment cannot both create a golden record for it.
    """
    lock_identities(tx, channel.entity.name)
    found = IdentityMatches()
    _by_external_id(tx, channel, read, found=found)
    keys = [one.key for one in read]
    decided = review_decisions(tx, channel.connection, channel.stream, keys) if reviewed else {}
    chosen = {k: d for k, d in decided.items() if d is not None and d != "new"}
    alive = merges.survivors(tx, chosen.values()) if chosen else {}
    found.known |= {k: alive[d] for k, d in chosen.items() if k not in found.known}
    found.secondary |= _secondaries(tx, channel, found.known)
    taken = set(found.known.values())
    new = {key for key, decision in decided.items() if decision == "new"}
    rest = [one for one in read if one.key not in found.known]
    _by_match(tx, channel, rest, found=found, taken=taken, separate=new)
    if channel.facts.once is None:
        rest = [one for one in rest if one.key not in found.known.keys() | found.unclear | new]
        _by_in_doubt(tx, channel, rest, found=found, taken=taken)
    return found


def _by_external_id(
    tx: Transaction, channel: Channel, read: Sequence[ReadRecord], *, found: IdentityMatches
) -> None:
    """A record with our external id was created by the hub, whatever else it looks like."""
    carried = {r.record.external_id: r.key for r in read if r.record.external_id}
    if not carried:
        return
    golden = load_golden(tx, carried)
    merged = any(record.merged_into for record in golden.values())
    targets = merges.survivors(tx, golden) if merged else dict(zip(golden, golden, strict=True))
    for once, record in golden.items():
        if record.entity == channel.entity.name:
            found.known[carried[once]] = targets[record.id]
            found.created.add(carried[once])
            found.made[carried[once]] = record.id


def _secondaries(
    tx: Transaction, channel: Channel, known: Mapping[str, str], *, taken: Iterable[str] = ()
) -> set[str]:
    """Returns the keys of records whose golden record already has a primary here, or is `taken`.

    This happens after merges, after a person's decision, or when another worker has linked another
    record to the same golden record. The record becomes a secondary, never a new golden record.
    """
    found: set[str] = set()
    placed = _written_here(tx, channel, set(known.values())).union(taken) if known else set()
    for key, golden_id in known.items():
        if golden_id in placed:
            found.add(key)
        placed.add(golden_id)
    return found


def _recognise_own(
    tx: Transaction, channel: Channel, ours: Mapping[str, str], *, found: IdentityMatches
) -> None:
    """Adds records that were just written, {key: golden id}; these may be merged by now."""
    alive = merges.survivors(tx, ours.values())
    known = {key: alive[golden_id] for key, golden_id in ours.items()}
    met = set(known.values())
    found.secondary |= {key for key, golden_id in found.known.items() if golden_id in met}
    found.known |= known
    found.secondary |= _secondaries(tx, channel, known)


def _by_match(
    tx: Transaction,
    channel: Channel,
    read: Sequence[ReadRecord],
    *,
    found: IdentityMatches,
    taken: set[str],
    separate: set[str],
) -> None:
    found.prints |= {one.key: fingerprints(channel.entity, one.values) for one in read}
    by_print = candidates_for(
        tx,
        (p.value for one in read for p in found.prints[one.key]),
        connection=channel.connection,
        stream=channel.stream,
    )
    if not by_print:
        return
    golden = load_golden(tx, {g for ids in by_print.values() for g in ids})
    for one in read:
        if one.key in separate:
            continue
        candidates = [
            Candidate(g, golden[g].values, printed.rule, printed.strong)
            for printed in found.prints[one.key]
            for g in by_print.get(printed.value, ())
            if g in golden and g not in taken and _alive(golden[g])
        ]
        match decide(channel.entity, one.values, candidates):
            case Linked(id=golden_id):
                found.known[one.key] = golden_id
                taken.add(golden_id)
            case Unclear() as unclear:
                found.unclear[one.key] = unclear
            case _:
                pass


def _by_in_doubt(
    tx: Transaction,
    channel: Channel,
    read: Sequence[ReadRecord],
    *,
    found: IdentityMatches,
    taken: set[str],
) -> None:
    """Recognises created records by strong fingerprints where no external id can be kept.

    The golden record may since have changed, been linked to another record there, or been merged.
    """
    sent = in_doubt.creates(tx, channel.connection, channel.entity.name) if read else {}
    if not sent:
        return
    alive = merges.survivors(tx, sent)
    unmet = [i for i, survivor in alive.items() if i != survivor or i not in taken]
    looks = {p: i for i in unmet for p in certain_prints(channel.entity, sent[i])}
    ours: dict[str, str] = {}
    for one in read:
        prints = found.prints.get(one.key, ())
        alike = (looks.get(p.value) for p in prints if p.strong)
        made = next((i for i in alike if i is not None and i not in found.made.values()), None)
        if made is not None:
            ours[one.key] = alive[made]
            found.made[one.key] = made
    found.known |= ours
    found.secondary |= _secondaries(tx, channel, ours, taken=taken)


def _alive(golden: Golden) -> bool:
    return golden.merged_into is None and golden.deleted_at is None


def _written_here(tx: Transaction, channel: Channel, golden: Iterable[str]) -> set[str]:
    """Returns the golden records whose primary record lives in this stream.

    If that one is gone, or only secondaries are left, the next record becomes primary: a golden
    record without a primary would be created again and again.
    """
    found = links_by_golden(tx, golden, connection=channel.connection)
    return {
        golden_id
        for golden_id, links in found.items()
        for link in links
        if link.stream == channel.stream and link.gone_at is None and link.is_primary
    }
