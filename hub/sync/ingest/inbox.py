"""Processes notifications and quarantined records that are due: fetches each key and ingests it.

A key that cannot be fetched is quarantined; an unusually large change pauses its stream, as in a
pull.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Merge, Page
from connectors.kit.errors import ConnectorError, RecordError
from hub.model.recovery import Pause, pause, recovery
from hub.store import inbox, quarantine
from hub.store.connections import pause_reason
from hub.store.inbox import InboxItem
from hub.store.links import count_links
from hub.store.quarantine import Cause, Problem, QuarantineEntry
from hub.store.runs import Tally, save_run, start_run
from hub.store.streams import StreamState, stream_state
from hub.sync.change_limits import ChangeLimitError, acceptance_is_used, guard
from hub.sync.context import Channel, Connection, Hub
from hub.sync.ingest.page import ingest
from hub.sync.pauses import pause_connection, pause_stream
from hub.sync.progress import Progress, Silence

#: Rounds of parents requesting their own parents; deeper than any chain of references.
_DEPTH = 8
#: Quarantined records of a stream that are retried in one round.
_RETRIES = 1000


def process_inbox(hub: Hub, connection: str, *, progress: Progress | None = None) -> Tally:
    """Empties the inbox of a connection, parents before children, and retries what is due.

    Raises: ConnectorError if the system does not answer; the inbox keeps what was not processed.
    """
    source = hub.connection(connection)
    with hub.store.read() as tx:
        paused = pause_reason(tx, connection) is not None
    show = progress or Silence()
    work = _Processing(hub, source, show)
    show.start(f"notifications of {connection}", None)
    try:
        for _ in range(0 if paused else _DEPTH):
            if not work.inbox() and not work.retry_quarantined():
                break
    except ConnectorError as error:
        if isinstance(recovery(error, attempts=0), Pause):
            pause_connection(hub, connection, str(error))
        raise
    finally:
        work.note_runs()
        show.done(f"notifications of {connection}")
    return work.total()


class _Processing:
    """One pass over the inbox, counted by stream."""

    def __init__(self, hub: Hub, source: Connection, show: Progress) -> None:
        self.hub, self.source, self.show = hub, source, show
        self.tallies: dict[str, Tally] = {}
        self.known: dict[str, int] = {}
        #: Stream -> why it was paused.
        self.over_limit: dict[str, str] = {}

    # --- counting -------------------------------------------------------------------------------

    def _tally(self, stream: str) -> Tally:
        if stream not in self.tallies:
            self.tallies[stream] = self._new(stream)
        return self.tallies[stream]

    def _new(self, stream: str) -> Tally:
        return Tally(self.hub.fresh_id(), "inbox", self.source.name, stream, self.hub.clock())

    def total(self) -> Tally:
        """Returns the counts of all streams in one tally."""
        total = self._new("")
        for tally in self.tallies.values():
            for name in ("seen", "same", "changed", "quarantined", "written", "touched"):
                setattr(total, name, getattr(total, name) + getattr(tally, name))
            for reason, count in tally.skipped.items():
                total.skip(reason, count)
        return total

    def note_runs(self) -> None:
        """Stores one run for each stream that had something to do."""
        for tally in self.tallies.values():
            if not tally.seen and tally.stream not in self.over_limit:
                continue
            state, reason = "done", self.over_limit.get(tally.stream)
            if reason is not None:
                state = "paused"
            elif not tally.adds_up:
                state, reason = (
                    "inconsistent",
                    "the counts of this run do not add up: please report it",
                )
            with self.hub.store.begin() as tx:
                start_run(tx, tally)
                now = self.hub.clock()
                save_run(tx, tally, state=state, finished_at=now, reason=reason)
                if state == "done":
                    acceptance_is_used(tx, tally.connection, tally.stream, kind="inbox")

    # --- working --------------------------------------------------------------------------------

    def inbox(self) -> bool:
        """Processes everything in the inbox; returns True if there was anything."""
        worked = False
        name = self.source.name
        with self.hub.store.read() as tx:
            waiting = set(inbox.streams_due(tx, name, now=self.hub.clock()))
        self._drop_unmapped(waiting - set(self.source.channels))
        for stream, channel in self.source.channels.items():
            while stream in waiting and self._state(stream).paused_at is None:
                with self.hub.store.read() as tx:
                    items = inbox.due(
                        tx, name, stream, now=self.hub.clock(), limit=channel.facts.batch
                    )
                if not items:
                    break
                self._look(channel, items)
                worked = True
        return worked

    def _state(self, stream: str) -> StreamState:
        with self.hub.store.read() as tx:
            return stream_state(tx, self.source.name, stream)

    def _drop_unmapped(self, streams: set[str]) -> None:
        """Drops notifications about unmapped streams, which would otherwise wait for ever."""
        now, name = self.hub.clock(), self.source.name
        for stream in streams:
            with self.hub.store.begin() as tx:
                items = inbox.due(tx, name, stream, now=now, limit=1_000_000)
                inbox.done(tx, [item.id for item in items])

    def _look(self, channel: Channel, items: Sequence[InboxItem]) -> None:
        reported = [Merge(item.key, item.merged_into) for item in items if item.merged_into]

        def done(tx: Transaction) -> None:
            inbox.done(tx, [item.id for item in items])

        keys = list(dict.fromkeys(item.merged_into or item.key for item in items))
        self._fetch(channel, keys, reported=reported, done=done)

    def retry_quarantined(self) -> bool:
        """Retries the quarantined records that are due; returns True if there were any."""
        worked = False
        now = self.hub.clock()
        for stream, channel in self.source.channels.items():
            if self._state(stream).paused_at is not None:
                continue
            with self.hub.store.read() as tx:
                found = quarantine.due_in(tx, self.source.name, stream, now=now, limit=_RETRIES)
            for start in range(0, len(found), channel.facts.batch):
                self._retry(channel, found[start : start + channel.facts.batch])
            worked |= bool(found)
        return worked

    def _retry(self, channel: Channel, found: Sequence[QuarantineEntry]) -> None:
        def done(tx: Transaction) -> None:
            # Resolved entries are gone from the table by now; the others wait longer each time.
            by_pause: dict[timedelta, list[int]] = {}
            for entry in found:
                by_pause.setdefault(pause(entry.attempts), []).append(entry.id)
            for wait, ids in by_pause.items():
                quarantine.postpone(tx, ids, due_at=self.hub.clock() + wait)

        self._fetch(channel, [entry.key for entry in found], reported=(), done=done)

    def _fetch(
        self,
        channel: Channel,
        keys: Sequence[str],
        *,
        reported: Sequence[Merge],
        done: Callable[[Transaction], None],
    ) -> None:
        """Fetches and ingests some keys; `done` runs in the same transaction."""
        page, refused = _truth(channel, keys)
        page = replace(page, merges=[*reported, *(m for m in page.merges if m not in reported)])
        tally = self._tally(channel.stream)
        state = self._state(channel.stream)
        known = self._known(channel.stream)

        def work(tx: Transaction) -> Tally:
            counted = tally.copy()
            ingest(self.hub, tx, channel, page=page, tally=counted)
            guard(self.hub, counted, known=known, accepted=state.accepted)
            self._quarantine(tx, channel, refused, tally=counted)
            done(tx)
            return counted

        try:
            tally.become(self.hub.store.transact(work))
        except ChangeLimitError as error:
            self.over_limit[channel.stream] = str(error)
            pause_stream(self.hub, channel, str(error))
        else:
            self.show.advance(f"notifications of {self.source.name}", len(keys))

    def _known(self, stream: str) -> int:
        if stream not in self.known:
            with self.hub.store.read() as tx:
                self.known[stream] = count_links(tx, self.source.name, stream)
        return self.known[stream]

    def _quarantine(
        self, tx: Transaction, channel: Channel, refused: Mapping[str, RecordError], *, tally: Tally
    ) -> None:
        now = self.hub.clock()
        tally.seen += len(refused)
        tally.quarantined += len(refused)
        entries = [
            Problem(
                *("pull", self.source.name, channel.stream, key, "held", Cause.UNREADABLE),
                reason=str(error),
                error=type(error).__name__,
            )
            for key, error in refused.items()
        ]
        quarantine.put(tx, entries, now=now)


def _truth(channel: Channel, keys: Sequence[str]) -> tuple[Page, dict[str, RecordError]]:
    """Fetches keys, halving until those that the system refuses are isolated with their errors."""
    try:
        return channel.connector.fetch(channel.stream, keys), {}
    except RecordError as error:
        if len(keys) == 1:
            return Page(), {keys[0]: error}
    half = len(keys) // 2
    first, bad = _truth(channel, keys[:half])
    second, also_bad = _truth(channel, keys[half:])
    page = Page(
        [*first.records, *second.records],
        [*first.gone, *second.gone],
        [*first.merges, *second.merges],
    )
    return page, bad | also_bad
