"""Decides what is due, with all guards: the only place that schedules reads and writes.

The command line, `tulay serve` and the workers ask here and do what is returned. Only reads the
database; asking twice is harmless, because work has stable names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from hub.model.rhythm import is_due
from hub.store import leases
from hub.store import work as store_work
from hub.store.leases import Held
from hub.store.paused import paused
from hub.store.streams import StreamState, all_streams
from hub.store.work import Waiting, WorkState
from hub.sync.context import Channel, Connection, Hub

#: How often runs are pruned, open invoices are checked and refused writes are retried.
_TIDY = timedelta(hours=1)

_NEW = WorkState()


class Rhythm(Protocol):
    """How often streams are read and swept: hub.settings.Schedules."""

    @property
    def sweep(self) -> timedelta:
        """How often deletions and gaps are looked for."""
        ...

    def pull_every(self, connection: str, stream: str) -> timedelta:
        """How often a stream is read."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """One piece of work: its kind and its place."""

    #: pull | sweep | inbox | push | derive | tidy
    kind: str
    connection: str = ""
    stream: str = ""
    #: Not urgent: the first read of a stream, a sweep.
    slow: bool = False

    @property
    def name(self) -> str:
        """The name under which the work is locked, always the same for the same work."""
        return " ".join(part for part in (self.kind, self.connection, self.stream) if part)


@dataclass(frozen=True, slots=True)
class Agenda:
    """The work to be done now, and what prevents other work."""

    #: In order: quick work first, parents before children.
    ready: tuple[Work, ...] = ()
    #: Due, but leased by other processes.
    held: tuple[Held, ...] = ()
    #: Connection -> its streams that were never read; nothing is written there until they are.
    unread: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


#: Reading comes first, so that derivations and writes are based on the current state everywhere.
_PHASES = {"tidy": 0, "pull": 1, "sweep": 2, "inbox": 3, "derive": 4, "push": 5}


def by_phase(works: Iterable[Work]) -> list[Work]:
    """Returns works in the order in which a single process runs them."""
    return sorted(works, key=lambda work: _PHASES[work.kind])


class Occasion(Protocol):
    """Who asks what is due: the clock, or a person."""

    @property
    def entities(self) -> Collection[str] | None:
        """The entities that are read; None: all."""
        ...

    @property
    def failed(self) -> Collection[str]:
        """Connections that are skipped for now, because they failed."""
        ...

    def reads(self, work: Work, last: datetime | None, now: datetime) -> bool:
        """Returns True if a stream that was last read or swept at `last` is due."""
        ...

    def tidies(self, last: datetime | None, now: datetime) -> bool:
        """Returns True if tidying up is due."""
        ...

    def free(self, state: WorkState, now: datetime) -> bool:
        """Returns True if work in this state may be taken now."""
        ...


@dataclass(frozen=True)
class BySchedule:
    """The clock: streams are due by their intervals, failed work pauses."""

    rhythm: Rhythm
    entities: Collection[str] | None = None
    #: Always empty: the pauses after failures are in the database.
    failed: Collection[str] = ()

    def reads(self, work: Work, last: datetime | None, now: datetime) -> bool:
        """Returns True if its interval has passed."""
        if work.kind == "sweep":
            return is_due(last, self.rhythm.sweep, now)
        return is_due(last, self.rhythm.pull_every(work.connection, work.stream), now)

    def tidies(self, last: datetime | None, now: datetime) -> bool:
        """Returns True once an hour."""
        return is_due(last, _TIDY, now)

    def free(self, state: WorkState, now: datetime) -> bool:
        """Returns True if no process has it and its pause after a failure is over."""
        return state.free(now)


@dataclass(frozen=True)
class OnRequest:
    """A person: everything is due that was not done in this round, whatever the clock says."""

    entities: Collection[str] | None = None
    #: Names of the works that were done in this round.
    done: Collection[str] = ()
    #: Connections that have failed in this run.
    failed: Collection[str] = ()
    #: Sweeps and tidying belong to the first round only.
    first: bool = True
    #: (connection, stream) whose deletions only a sweep can find.
    swept: Collection[tuple[str, str]] = ()

    def reads(self, work: Work, last: datetime | None, now: datetime) -> bool:
        """Returns True if this round has not read it; for sweeps, where deletions need one."""
        if work.connection in self.failed or work.name in self.done:
            return False
        if work.kind == "sweep":
            return self.first and (last is None or (work.connection, work.stream) in self.swept)
        return True

    def tidies(self, last: datetime | None, now: datetime) -> bool:
        """Returns True once a run."""
        return self.first and "tidy" not in self.done

    def free(self, state: WorkState, now: datetime) -> bool:
        """Returns True: a person's request ignores pauses after failures."""
        return True


def agenda(hub: Hub, occasion: Occasion, now: datetime | None = None) -> Agenda:
    """Returns what is due, by default now, and what prevents other work."""
    with hub.store.read() as tx:
        waits = paused(tx)
        work = store_work.states(tx)
        streams = all_streams(tx)
        # The clock is read after the stored times: a time that another process stores in the
        # meantime would look as if the clock had been set back.
        now = now or hub.clock()
        picture = _Picture(
            hub=hub,
            occasion=occasion,
            now=now,
            work=work,
            streams=streams,
            paused=waits,
            waiting=store_work.waiting(tx, now=now),
            held=leases.held_by_others(tx, hub.worker, now=now),
        )
    works = [one for one in picture.works() if occasion.free(picture.work.get(one.name, _NEW), now)]
    return Agenda(tuple(works), tuple(picture.in_the_way()), picture.unread())


@dataclass(frozen=True)
class _Picture:
    """Everything that determines what is due."""

    hub: Hub
    occasion: Occasion
    now: datetime
    work: Mapping[str, WorkState]
    streams: Mapping[tuple[str, str], StreamState]
    #: (connection, stream), or (connection, "") for all of a connection.
    paused: Collection[tuple[str, str]]
    waiting: Waiting
    held: tuple[Held, ...]

    # --- what is due ----------------------------------------------------------------------------

    def works(self) -> Iterator[Work]:
        """Yields what is due, quick work first."""
        yield from self._quick()
        for connection in self._speaking():
            wanted = self._wanted(connection)
            for channel in connection.channels.values():
                if channel.stream in wanted:
                    yield from self._reading(channel)
        if self.occasion.tidies(self.work.get("tidy", _NEW).done_at, self.now):
            yield Work("tidy")

    def _quick(self) -> Iterator[Work]:
        speaking = {connection.name for connection in self._speaking()}
        for name in self.hub.connections:
            if name in speaking and self._has_notifications(name):
                yield Work("inbox", name)
        if self.waiting.derive and not any(map(self._never_read, self.hub.connections)):
            yield Work("derive")
        for name in self.hub.connections:
            if name in speaking and name in self.waiting.push and not self._never_read(name):
                yield Work("push", name)

    def _speaking(self) -> Iterator[Connection]:
        """Yields the connections that are neither paused nor failed."""
        for name, connection in self.hub.connections.items():
            if (name, "") not in self.paused and name not in self.occasion.failed:
                yield connection

    def _has_notifications(self, connection: str) -> bool:
        """Returns True if something is to be fetched from a stream that is not paused."""
        channels = self.hub.connections[connection].channels
        fetched = {stream for name, stream in self.waiting.fetch if name == connection}
        notified = {stream for name, stream in self.waiting.notified if name == connection}
        if notified - set(channels):
            return True  # about unmapped streams: processing drops these
        known = (notified | fetched) & set(channels)
        return any((connection, one) not in self.paused for one in known)

    def _never_read(self, connection: str) -> tuple[str, ...]:
        """Returns the streams that were never read.

        A record that seems to be missing there may only be unread: writing it would duplicate it.
        """
        channels = self.hub.connections[connection].channels
        return tuple(one for one in channels if not self._stream(connection, one).read_at)

    def _stream(self, connection: str, stream: str) -> StreamState:
        return self.streams.get((connection, stream), StreamState())

    def _wanted(self, connection: Connection) -> set[str]:
        """Returns the streams to be read: those requested, and their unread parents."""
        asked = self.occasion.entities
        if asked is None:
            return set(connection.channels)
        wanted: set[str] = set()
        for channel in reversed(list(connection.channels.values())):
            if channel.entity.name in asked or channel.stream in wanted:
                wanted |= {channel.stream, *self._unread_parents(channel)}
        return wanted

    def _reading(self, channel: Channel) -> Iterator[Work]:
        connection, stream = channel.connection, channel.stream
        state = self._stream(connection, stream)
        leased = state.leased_until
        if (connection, stream) in self.paused:
            return
        if leased is not None and leased >= self.now and state.leased_by != self.hub.worker:
            return
        read_at = state.read_at
        if read_at is None and self._unread_parents(channel):
            return
        pull = Work("pull", connection, stream, slow=read_at is None)
        if self.occasion.reads(pull, read_at, self.now):
            yield pull
        sweep = Work("sweep", connection, stream, slow=True)
        if read_at and self.occasion.reads(sweep, state.swept_at, self.now):
            yield sweep

    def _unread_parents(self, channel: Channel) -> set[str]:
        """Returns the streams that its records refer to and that were never read.

        Without them its records could only be quarantined: the stream would count as read although
        its records are not known, and records that exist in another system, too, would be created
        a second time.
        """
        streams = list(self.hub.connections[channel.connection].channels)
        earlier = streams[: streams.index(channel.stream)]
        parents = set(channel.mapping.references.values()) & set(earlier)
        return {one for one in parents if not self._stream(channel.connection, one).read_at}

    # --- what is not due, and why ---------------------------------------------------------------

    def in_the_way(self) -> Iterator[Held]:
        """Yields the leases of other processes on work that is wanted here."""
        for held in self.held:
            connection = self.hub.connections.get(held.connection)
            if connection is None or (held.connection, "") in self.paused:
                continue
            if not held.stream:
                yield held
            elif held.stream in self._wanted(connection):
                work = Work("pull", held.connection, held.stream)
                if self.occasion.reads(work, None, self.now):
                    yield held

    def unread(self) -> dict[str, tuple[str, ...]]:
        """Returns {connection: streams} where writes wait for the first read of streams."""
        waiting = {n for n in self.waiting.push if n in self.hub.connections}
        if self.waiting.derive:
            waiting |= set(self.hub.connections)
        return {name: never for name in sorted(waiting) if (never := self._never_read(name))}
