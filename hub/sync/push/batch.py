"""Tells a connection what it lacks: leases wishes, reads the truth, computes, writes, reads back.

What to write is computed when it is written. The intention to create is durable before the network
is touched, and a create whose outcome is unknown is probed before it is repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Act, Create, Delete, Outcome, Page, Record, Update, Write
from connectors.kit.errors import (
    ConnectorError,
    RateLimitedError,
    RecordMissingError,
    UnavailableError,
)
from hub.model.matching import fingerprints
from hub.model.recovery import Bury, Pause, Refresh, Retry, pause, recovery
from hub.model.want import route_actions
from hub.store import dirty, outbox, quarantine, unheard
from hub.store.connections import pause_reason
from hub.store.golden import load_golden
from hub.store.links import links_by_golden, links_by_key
from hub.store.outbox import Wish
from hub.store.runs import Tally, save_run, start_run
from hub.store.streams import stream_state
from hub.sync.context import Channel, Connection, Hub
from hub.sync.derive import EXPLAINED
from hub.sync.freshness import digest
from hub.sync.ingest.page import Written, take_in
from hub.sync.merge.primary import written_link
from hub.sync.pauses import pause_connection
from hub.sync.progress import Progress, Silence
from hub.sync.push.custom_fields import prepare_once
from hub.sync.push.in_doubt import found_there, join, ours_of
from hub.sync.push.lost_updates import remember_overwritten
from hub.sync.push.plan import Job, Waiting, plan
from hub.sync.surprises import deletes_have_happened, hold_deletes
from mappings.kit.errors import LensError

#: Wishes of one lease; a connector's batch may be smaller.
_BATCH = 100
#: A push may make so many wishes more due than three times those that were when it began.
_MORE = 1000
#: After so many stale answers in a row somebody is fighting with us: a person should look.
_MOST_REFRESHES = 5


def push(hub: Hub, connection: str, *, progress: Progress | None = None) -> Tally:
    """Writes what is wanted in a connection until nothing is due.

    When writing makes more and more due, as with a system that never shows what it was told, it
    ends all the same: the next push goes on.

    Raises: ConnectorError when the system does not answer; every wish is kept.
    """
    target = hub.connection(connection)
    tally = Tally(hub.fresh_id(), "push", connection, "", hub.clock())
    show = progress or Silence()
    show.start(f"to {connection}", None)
    with hub.store.read() as tx:
        left = 3 * outbox.due_in(tx, connection, now=tally.started_at) + _MORE
    try:
        while left > 0 and (wishes := _lease(hub, target)):
            left -= len(wishes)
            _Batch(hub, target, wishes, tally).work()
            show.advance(f"to {connection}", len(wishes))
        deletes_have_happened(hub, connection)
    finally:
        show.done(f"to {connection}")
        if tally.written or tally.buried:
            with hub.store.begin() as tx:
                start_run(tx, tally)
                save_run(tx, tally, state="done", finished_at=hub.clock())
    return tally


def _lease(hub: Hub, target: Connection) -> list[Wish]:
    with hub.store.begin() as tx:
        if pause_reason(tx, target.name) is not None:
            return []
        return outbox.lease(
            tx,
            target.name,
            entities=list(hub.entities),
            worker=hub.worker,
            now=hub.clock(),
            limit=_BATCH,
        )


class _Batch:
    """The leased wishes of one entity, from lease to verdict."""

    def __init__(self, hub: Hub, target: Connection, wishes: Sequence[Wish], tally: Tally) -> None:
        self.hub, self.target, self.tally = hub, target, tally
        #: Wishes not yet fulfilled, given back or buried.
        self.open: dict[int, Wish] = {wish.id: wish for wish in wishes}

    def work(self) -> None:
        """Does all of it; whatever happens, no wish is lost."""
        try:
            prepare_once(self.hub, self.target)
            for channel, jobs in self._by_channel().items():
                for start in range(0, len(jobs), channel.facts.batch):
                    self._work_channel(channel, jobs[start : start + channel.facts.batch])
        except ConnectorError as error:
            self._give_back(error)
            raise
        with self.hub.store.begin() as tx:
            outbox.complete(tx, self.open.values())

    def _by_channel(self) -> dict[Channel, list[Job]]:
        """Sorts the wishes that can be worked on; the others are fulfilled as they are."""
        ids = [wish.golden_id for wish in self.open.values()]
        with self.hub.store.read() as tx:
            golden = load_golden(tx, ids)
            links = links_by_golden(tx, ids, connection=self.target.name)
        found: dict[Channel, list[Job]] = {}
        for wish in self.open.values():
            record = golden.get(wish.golden_id)
            if record is None or (record.merged_into is not None and wish.state != "sent"):
                continue
            channel = self.target.channel_for(record.entity, record.values)
            if channel is None:
                continue
            known = links.get(record.id, [])
            link = written_link(known, channel)
            # One that was sent may exist over there, whatever became of the thing since.
            alive = record.deleted_at is None or wish.state == "sent"
            there = any(n.stream == channel.stream and n.gone_at is None for n in known)
            creatable = link is None and not there and alive and self._may_create(channel)
            if creatable or (link is not None and link.gone_at is None):
                found.setdefault(channel, []).append(Job(wish, record, link))
        return found

    def _may_create(self, channel: Channel) -> bool:
        return (
            channel.facts.create and self.target.name in self.hub.policy(channel.entity.name).create
        )

    # --- one channel ----------------------------------------------------------------------------

    def _work_channel(self, channel: Channel, jobs: list[Job]) -> None:
        self._probe(channel, [job for job in jobs if _is_unheard(job, channel)])
        linked = [job for job in jobs if job.link is not None]
        self._read(channel, linked)
        # Merged or moved meanwhile: whatever the survivor lacks is a wish of its own.
        lost = {job.wish.id for job in linked if job.link is None}
        lost |= {job.wish.id for job in jobs if job.wish.id not in self.open}
        jobs = [job for job in jobs if job.wish.id not in lost and _is_alive(job)]
        with self.hub.store.read() as tx:
            plans = plan(self.hub, tx, channel, jobs)
        writes: list[tuple[Job, Write]] = []
        for job, planned in plans:
            if isinstance(planned, Waiting):
                self._postpone(job.wish, "waiting", planned.reason, waits_for=planned.waits_for)
            elif isinstance(planned, LensError):
                self._verdict(job.wish, planned, state="due")
            elif planned is not None:
                writes.append((job, planned))
        writes = self._unsurprising(channel, writes)
        if writes:
            self._write(channel, writes)
        self._act(channel, [job for job in jobs if job.wish.id in self.open])

    def _unsurprising(
        self, channel: Channel, writes: list[tuple[Job, Write]]
    ) -> list[tuple[Job, Write]]:
        """Returns the writes without deletions that are so many that a person must look first."""
        deletes = {job.wish.id: write.key for job, write in writes if isinstance(write, Delete)}
        reason = hold_deletes(self.hub, channel, list(deletes.values())) if deletes else None
        if reason is None:
            return writes
        for job, _ in writes:
            if job.wish.id in deletes:
                self._postpone(job.wish, "waiting", reason)
        return [(job, write) for job, write in writes if job.wish.id not in deletes]

    def _probe(self, channel: Channel, unknown: Sequence[Job]) -> None:
        """Asks whether creates with an unknown outcome have happened, before any is repeated."""
        if not unknown:
            return
        if channel.facts.once is None:
            self._recognise(channel, unknown)
            return
        sent = {job.golden.id: job.wish.sent or {} for job in unknown}
        made = channel.connector.find(channel.stream, list(sent))
        with self.hub.store.read() as tx:
            ours = ours_of(tx, channel, made)
        written = {
            key: Written(golden_id, sent[golden_id], certain=False)
            for key, golden_id in ours.items()
        }
        self._take(channel, Page(records=list(made.values())), written=written)
        found = [job for job in unknown if job.golden.id in made]
        for job in found:
            key = made[job.golden.id].key
            if ours.get(key) != job.golden.id:
                join(self.hub, channel, job.golden.id, key, run=self.tally.id)
        self._refresh(found, channel)
        with self.hub.store.read() as tx:
            keys = [record.key for record in made.values()]
            taken = links_by_key(tx, channel.connection, channel.stream, keys)
        for job in found:
            # What was merged has no link of its own any more: its record is the survivor's.
            merged = job.golden.merged_into is not None and made[job.golden.id].key in taken
            if job.link is None and not merged:
                reason = f"it is in {channel.stream}, but cannot be taken in yet; see its letter"
                self._postpone(job.wish, None, reason)

    def _recognise(self, channel: Channel, unknown: Sequence[Job]) -> None:
        """Reads what is new there: where no hub id can be kept, the match rules must tell."""
        with self.hub.store.read() as tx:
            since = stream_state(tx, channel.connection, channel.stream).cursor
        for page in channel.connector.pages(channel.stream, since):
            self._take(channel, page, fetched=False)
        self._refresh(unknown, channel)
        with self.hub.store.read() as tx:
            hidden = quarantine.any_quarantined(tx, "pull", channel.connection, channel.stream)
        for job in unknown:
            known = fingerprints(channel.entity, job.golden.values)
            if job.link is None and hidden:
                # One of those that cannot be taken in yet may be what we have made.
                reason = f"records of {channel.stream} are set aside; one of them may be this one"
                self._postpone(job.wish, None, reason)
            elif job.link is None and not any(one.strong for one in known):
                self._bury(
                    job.wish,
                    f"nobody can tell whether it was created in {channel.connection}: look there,"
                    " then link it or replay this letter",
                )

    def _read(self, channel: Channel, linked: Sequence[Job]) -> None:
        """Reads the truth about linked records and observes it first."""
        by_key = {job.link.key: job for job in linked if job.link is not None}
        if not by_key:
            return
        page = channel.connector.fetch(channel.stream, list(by_key))
        self._take(channel, page, own_wishes=False)
        self._refresh(linked, channel)
        found = {record.key: record for record in page.records}
        for job in linked:
            job.record = None if job.link is None else found.get(job.link.key)
            if job.link is not None and job.record is not None and not _observed(job, channel):
                # What it shows now may be news: writing would be over words that nobody has read.
                reason = f"{channel.stream} {job.link.key} cannot be taken in yet; see its letter"
                self._postpone(job.wish, "waiting", reason)

    def _refresh(self, jobs: Sequence[Job], channel: Channel) -> None:
        """Loads golden records and links again after something was taken in."""
        ids = [job.golden.id for job in jobs]
        with self.hub.store.read() as tx:
            golden = load_golden(tx, ids)
            links = links_by_golden(tx, ids, connection=self.target.name)
        for job in jobs:
            job.golden = golden.get(job.golden.id, job.golden)
            job.link = written_link(links.get(job.golden.id, []), channel)

    def _take(
        self,
        channel: Channel,
        page: Page,
        *,
        written: Mapping[str, Written] | None = None,
        own_wishes: bool = True,
        fetched: bool = True,
    ) -> None:
        now = self.hub.clock()

        def work(tx: Transaction) -> None:
            take_in(
                self.hub,
                tx,
                channel,
                page=page,
                tally=Tally(self.tally.id, "push", channel.connection, channel.stream, now),
                written=written,
                own_wishes=own_wishes,
                fetched=fetched,
            )

        self.hub.store.transact(work)

    # --- writing --------------------------------------------------------------------------------

    def _write(self, channel: Channel, writes: Sequence[tuple[Job, Write]]) -> None:
        creates = {job.wish.id: job for job, write in writes if isinstance(write, Create)}
        updates = {job.wish.id: job.values for job, write in writes if isinstance(write, Update)}

        def intend(tx: Transaction) -> dict[int, str]:
            found = found_there(tx, channel, [job.golden.id for job in creates.values()])
            held = {w: found[job.golden.id] for w, job in creates.items() if job.golden.id in found}
            sent = {wish: job.values for wish, job in creates.items() if wish not in held}
            unheard.mark_sent(tx, creates=sent, updates=updates)
            return held

        held = self.hub.store.transact(intend, durable=bool(creates))
        for wish, reason in held.items():
            self._postpone(creates[wish].wish, "due", reason)
        writes = [(job, write) for job, write in writes if job.wish.id not in held]
        if writes:
            self._send(channel, writes, sent=[*(creates.keys() - held), *updates])

    def _send(
        self, channel: Channel, writes: Sequence[tuple[Job, Write]], *, sent: Sequence[int]
    ) -> None:
        try:
            outcomes = channel.connector.write(channel.stream, [write for _, write in writes])
        except RateLimitedError:
            with self.hub.store.begin() as tx:  # the system said that none has happened
                unheard.mark_unsent(tx, sent)
            raise
        for (job, _), outcome in zip(writes, outcomes, strict=True):
            job.outcome = outcome
        self._read_back(channel, writes)
        refused = [job.wish.id for job, _ in writes if _surely_not(job.outcome)]
        if refused:
            with self.hub.store.begin() as tx:
                unheard.mark_unsent(tx, refused)
        for job, write in writes:
            self._conclude(job, write)

    def _conclude(self, job: Job, write: Write) -> None:
        error = job.outcome.error if job.outcome is not None else None
        if error is None or (isinstance(write, Delete) and isinstance(error, RecordMissingError)):
            self.tally.written += 1
        else:
            refused = isinstance(error, RateLimitedError) or not isinstance(write, Create)
            self._verdict(job.wish, error, state="due" if refused else None)

    def _read_back(self, channel: Channel, writes: Sequence[tuple[Job, Write]]) -> None:
        """Agrees on what was written, as the system shows it."""
        kept, gone, unread = {}, [], []
        found, merges = [], []
        for job, write in writes:
            outcome = job.outcome
            if outcome is None or (
                outcome.error is not None and not isinstance(outcome.error, RecordMissingError)
            ):
                continue
            if isinstance(write, Delete):
                gone.append(write.key)
            elif outcome.error is None and outcome.key is not None:
                kept[outcome.key] = Written(job.golden.id, job.values)
                if outcome.record is None:
                    unread.append(outcome.key)
                else:
                    found.append(outcome.record)
        if unread:
            page = channel.connector.fetch(channel.stream, unread)
            found, merges = [*found, *page.records], list(page.merges)
            # The write itself may have given the record another key.
            kept.update({m.into: kept[m.key] for m in merges if m.key in kept})
            lost = {m.into for m in merges} - {record.key for record in found}
            if lost:
                found += channel.connector.fetch(channel.stream, sorted(lost)).records
        # Before what was written is agreed on: after a crash in between it is at least history.
        remember_overwritten(self.hub, channel, [job for job, _ in writes], run=self.tally.id)
        _note_read([job for job, _ in writes], found)
        if found or gone or merges:
            self._take(channel, Page(records=found, gone=gone, merges=merges), written=kept)

    # --- states ---------------------------------------------------------------------------------

    def _act(self, channel: Channel, jobs: Sequence[Job]) -> None:
        """Brings lagging states forward, transition by transition."""
        if channel.entity.states is None or not channel.mapping.acts or not jobs:
            return
        self._refresh(jobs, channel)
        for _ in channel.mapping.acts:
            steps = [
                (job, act)
                for job in jobs
                if job.wish.id in self.open and (act := _next_act(channel, job)) is not None
            ]
            if not steps:
                return
            self._step(channel, steps)

    def _step(self, channel: Channel, steps: Sequence[tuple[Job, Act]]) -> None:
        outcomes = channel.connector.write(channel.stream, [act for _, act in steps])
        for (job, _), outcome in zip(steps, outcomes, strict=True):
            if outcome.error is not None:
                self._verdict(job.wish, outcome.error, state="due")
            else:
                self.tally.written += 1
        page = channel.connector.fetch(channel.stream, [act.key for _, act in steps])
        self._take(channel, page, own_wishes=False)
        _note_read([job for job, _ in steps], page.records)
        self._refresh([job for job, _ in steps], channel)

    # --- verdicts -------------------------------------------------------------------------------

    def _give_back(self, error: ConnectorError) -> None:
        """The whole conversation failed: creates that were sent stay sent."""
        if isinstance(recovery(error, attempts=0), Pause):
            pause_connection(self.hub, self.target.name, str(error))
        for wish in list(self.open.values()):
            self._verdict(wish, error, state=None)

    def _verdict(self, wish: Wish, error: Exception, *, state: str | None) -> None:
        """Decides what becomes of a wish after an error; `state` None leaves it as stored."""
        match recovery(error, attempts=wish.attempts):
            case Bury():
                self._bury(wish, str(error), error)
            case Refresh() if wish.attempts >= _MOST_REFRESHES:
                self._bury(wish, f"changed again each time it was to be written: {error}", error)
            case Refresh():
                self._postpone(wish, "due", str(error), error=error, after=timedelta(0))
            case Retry(after=after):
                self._postpone(wish, state, str(error), error=error, after=after)
            case _:
                self._postpone(wish, state, str(error), error=error)

    def _bury(self, wish: Wish, reason: str, error: Exception | None = None) -> None:
        """Sets a wish aside until something changes or a person replays it."""
        self.tally.seen += 1
        self.tally.buried += 1
        self._postpone(wish, "buried", reason, error=error)

    def _postpone(
        self,
        wish: Wish,
        state: str | None,
        reason: str,
        *,
        error: Exception | None = None,
        waits_for: str | None = None,
        after: timedelta | None = None,
    ) -> None:
        """Gives a wish back with a reason; this batch is done with it."""
        self.open.pop(wish.id, None)
        wait = pause(wish.attempts) if after is None else after
        with self.hub.store.begin() as tx:
            outbox.postpone(
                tx,
                wish,
                state=state,
                due_at=self.hub.clock() + wait,
                reason=reason,
                error=type(error).__name__ if error else None,
                waits_for=waits_for,
            )
            if state in ("waiting", "buried") and wish.entity in EXPLAINED:
                dirty.mark(tx, [wish.golden_id], now=self.hub.clock())


def _observed(job: Job, channel: Channel) -> bool:
    """Says whether the record that was just read is what the link knows."""
    if job.link is None or job.record is None:
        return False
    return job.link.digest == digest(job.record.payload, channel.mapping.fingerprint)


def _is_unheard(job: Job, channel: Channel) -> bool:
    """Says whether nobody knows what became of a create: a merge may have brought a link since.

    What keeps a hub id will tell by itself then, whenever it is read.
    """
    return job.wish.state == "sent" and (job.link is None or channel.facts.once is None)


def _surely_not(outcome: Outcome | None) -> bool:
    """Says whether a write has certainly not happened."""
    error = None if outcome is None else outcome.error
    unknown = isinstance(error, UnavailableError) and not isinstance(error, RateLimitedError)
    return error is not None and not unknown


def _is_alive(job: Job) -> bool:
    """Says whether there is anything to tell: a new record must not be deleted or merged by now."""
    golden = job.golden
    return golden.merged_into is None and (job.link is not None or golden.deleted_at is None)


def _next_act(channel: Channel, job: Job) -> Act | None:
    states = channel.entity.states
    if states is None or job.link is None or job.link.gone_at is not None:
        return None
    goal = job.golden.values.get(states.path)
    shown = job.link.state.seen.get(states.path)
    actions = route_actions(states, shown, goal, channel.mapping.acts)
    if not actions:
        return None
    # What was typed and taken back left a newer version, and nothing that the link would note.
    known = job.record if job.record is not None and job.record.key == job.link.key else job.link
    return Act(job.link.key, actions[0], known.version)


def _note_read(jobs: Sequence[Job], found: Sequence[Record]) -> None:
    """Notes the records of jobs as they are by now."""
    by_key = {record.key: record for record in found}
    for job in jobs:
        keys = (job.outcome and job.outcome.key, job.link and job.link.key)
        job.record = next((by_key[key] for key in keys if key in by_key), job.record)
