"""Creates in doubt: they are probed before they are repeated.

A probe asks for the external id. Where none can be kept, the new records are read and the match
rules decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Page, Record
from hub.model.matching import fingerprints
from hub.store import in_doubt, merges
from hub.store.engine import lock_identities
from hub.store.links import links_by_golden, links_by_key
from hub.store.streams import stream_state
from hub.sync.context import Channel
from hub.sync.ingest.read_record import Origin, WrittenValues
from hub.sync.merge.primary import primary_link
from hub.sync.merge.survivor import merge_into_survivor
from hub.sync.push.job import Batch, Job
from hub.sync.push.verdict import held_in_doubt, postponed
from hub.sync.unfinished import any_quarantined


def is_in_doubt(job: Job, channel: Channel) -> bool:
    """Returns True if the outcome of a create is unknown.

    A merge may have brought a link in the meantime. Where external ids are kept, the record is
    recognised whenever it is read, so such a link ends the doubt.
    """
    return job.entry.state == "in_flight" and (job.link is None or channel.facts.once is None)


def probe(batch: Batch, channel: Channel, unknown: Sequence[Job]) -> None:
    """Finds out whether creates with an unknown outcome have happened, before any is repeated."""
    if not unknown:
        return
    if channel.facts.once is None:
        _recognise(batch, channel, unknown)
        return
    sent = {job.golden.id: job.entry.sent or {} for job in unknown}
    made = channel.connector.find(channel.stream, list(sent))
    with batch.hub.store.read() as tx:
        ours = _ours_of(tx, channel, made)
    written = {
        key: WrittenValues(golden_id, sent[golden_id], certain=False)
        for key, golden_id in ours.items()
    }
    page = Page(records=list(made.values()))
    found = [job for job in unknown if job.golden.id in made]
    batch.ingest(channel, page, origin=Origin.PROBED, written=written, jobs=found)
    taken = [job for job in found if ours.get(made[job.golden.id].key) != job.golden.id]
    for job in taken:
        key = made[job.golden.id].key
        merge_into_survivor(batch.hub, channel, job.golden.id, key, run=batch.tally.id)
    if taken:
        batch.refresh(found, channel)
    with batch.hub.store.read() as tx:
        keys = [record.key for record in made.values()]
        linked = links_by_key(tx, channel.connection, channel.stream, keys)
    for job in found:
        # A merged golden record has no link any more: its record belongs to the survivor.
        merged = job.golden.merged_into is not None and made[job.golden.id].key in linked
        if job.link is None and not merged:
            reason = (
                f"it is in {channel.stream}, but cannot be read yet;"
                " see its quarantine entry (`tulay errors`)"
            )
            batch.decide(job.entry, postponed(job.entry.attempts, reason, state=None))


def _recognise(batch: Batch, channel: Channel, unknown: Sequence[Job]) -> None:
    """Reads new records and lets the match rules decide where no external id can be kept."""
    with batch.hub.store.read() as tx:
        since = stream_state(tx, channel.connection, channel.stream).cursor
    for page in channel.connector.pages(channel.stream, since):
        batch.ingest(channel, page, origin=Origin.LISTED)
    batch.refresh(unknown, channel)
    with batch.hub.store.read() as tx:
        hidden = any_quarantined(tx, channel)
    for job in unknown:
        known, attempts = fingerprints(channel.entity, job.golden.values), job.entry.attempts
        if job.link is None and hidden:
            # One of the quarantined records may be the one that was created.
            reason = f"records of {channel.stream} are quarantined; one of them may be this one"
            batch.decide(job.entry, postponed(attempts, reason, state=None))
        elif job.link is None and not any(one.strong for one in known):
            reason = (
                f"the outcome of its creation in {channel.connection} is unknown: look there,"
                " then link it, or retry this entry with `tulay errors retry`"
            )
            batch.decide(job.entry, held_in_doubt(attempts, reason))


def not_to_create(tx: Transaction, channel: Channel, golden_ids: Sequence[str]) -> dict[str, str]:
    """Returns {golden id: reason} of records that must not be created: they exist, or may.

    No other process can recognise one of them before the transaction ends.
    """
    if not golden_ids:
        return {}
    lock_identities(tx, channel.entity.name)
    merged = in_doubt.creates_of_merged(tx, channel.connection, channel.entity.name)
    into = merges.survivors(tx, merged).values() if merged else ()
    why = "a create of a record that was merged into it is still in doubt"
    found = dict.fromkeys(into, why)
    links = links_by_golden(tx, golden_ids, connection=channel.connection)
    for golden_id, known in links.items():
        if primary_link(known, channel) is not None:
            found[golden_id] = "was found there just now"
    return found


def _ours_of(tx: Transaction, channel: Channel, made: Mapping[str, Record]) -> dict[str, str]:
    """Returns {key: golden id} of what a probe found, without records of other golden records.

    After a merge, a record that was created for one golden record may belong to another one.
    """
    keys = [record.key for record in made.values()]
    links = links_by_key(tx, channel.connection, channel.stream, keys)
    ours: dict[str, str] = {}
    for golden_id, record in made.items():
        link = links.get(record.key)
        taken = link is not None and link.golden_id not in (None, golden_id)
        if record.external_id in (None, golden_id) and not taken:
            ours.setdefault(record.key, golden_id)
    return ours
