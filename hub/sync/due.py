"""Says what is due, with all guards: the one place that decides what is read and written when.

The command line, `tulay serve` and the workers ask here and do what they are told. Reads the
database only; asking twice is harmless, because work has stable names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from hub.model.rhythm import is_due
from hub.store import leases
from hub.store import work as store_work
from hub.store.connections import connection_states
from hub.store.leases import Held
from hub.store.streams import StreamState, all_streams
from hub.store.work import Waiting, WorkState
from hub.sync.context import Channel, Connection, Hub

#: How often runs are pruned, open invoices looked at again and refused writes tried again.
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
    """One piece of work: what, where."""

    #: pull | sweep | inbox | push | derive | tidy
    kind: str
    connection: str = ""
    stream: str = ""
    #: Nobody waits for it: the first read of a stream, a sweep.
    slow: bool = False

    @property
    def name(self) -> str:
        """The same for the same work, always."""
        return " ".join(part for part in (self.kind, self.connection, self.stream) if part)


@dataclass(frozen=True, slots=True)
class Agenda:
    """What is to be done now, and what would be if nothing stood in its way."""

    #: In an order that makes sense: what is quick first, parents before children.
    ready: tuple[Work, ...] = ()
    #: Wanted, but in the hands of other processes.
    held: tuple[Held, ...] = ()
    #: Connection -> its streams that were never read, which hold up what is to be written there.
    unread: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


#: Reading comes first, so that what is derived and written follows from what everybody says now.
_PHASES = {"tidy": 0, "pull": 1, "sweep": 2, "inbox": 3, "derive": 4, "push": 5}


def by_phase(works: Iterable[Work]) -> list[Work]:
    """Returns works in the order in which a single process does them."""
    return sorted(works, key=lambda work: _PHASES[work.kind])


class Occasion(Protocol):
    """Why somebody asks what is due: the clock, or a person."""

    @property
    def entities(self) -> Collection[str] | None:
        """The entities that are read; None: all."""
        ...

    @property
    def failed(self) -> Collection[str]:
        """Connections that are not asked again for now."""
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
    """The clock: streams are due by their intervals, what failed rests."""

    rhythm: Rhythm
    entities: Collection[str] | None = None
    #: None of them: what failed rests by itself.
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
        """Returns True if nobody has it and it need not rest after a failure."""
        return state.free(now)


@dataclass(frozen=True)
class OnRequest:
    """A person: everything is due that this round has not done yet, whatever the clock says."""

    entities: Collection[str] | None = None
    #: Names of the works that this round has done.
    done: Collection[str] = ()
    #: Connections that this run has failed to speak to.
    failed: Collection[str] = ()
    #: Sweeps and tidying belong to the first round only.
    first: bool = True
    #: (connection, stream) whose deletions only show in a sweep.
    swept: Collection[tuple[str, str]] = ()

    def reads(self, work: Work, last: datetime | None, now: datetime) -> bool:
        """Returns True if this round has not read it; a sweep where deletions need one."""
        if work.connection in self.failed or work.name in self.done:
            return False
        if work.kind == "sweep":
            return self.first and (last is None or (work.connection, work.stream) in self.swept)
        return True

    def tidies(self, last: datetime | None, now: datetime) -> bool:
        """Returns True once a run."""
        return self.first and "tidy" not in self.done

    def free(self, state: WorkState, now: datetime) -> bool:
        """Returns True: a person does not wait for pauses."""
        return True


def agenda(hub: Hub, occasion: Occasion, now: datetime | None = None) -> Agenda:
    """Returns what is due (now, unless another time is given), and what stands in its way."""
    with hub.store.read() as tx:
        states = connection_states(tx)
        work = store_work.states(tx)
        streams = all_streams(tx)
        # Asked for after what it is compared with: a time that another process stores meanwhile
        # would look as if the clock had been set back.
        now = now or hub.clock()
        picture = _Picture(
            hub=hub,
            occasion=occasion,
            now=now,
            work=work,
            streams=streams,
            paused=frozenset(n for n, state in states.items() if state.paused_at is not None),
            waiting=store_work.waiting(tx, now=now),
            held=leases.held_by_others(tx, hub.worker, now=now),
        )
    works = [one for one in picture.works() if occasion.free(picture.work.get(one.name, _NEW), now)]
    return Agenda(tuple(works), tuple(picture.in_the_way()), picture.unread())


@dataclass(frozen=True)
class _Picture:
    """All that decides what is due."""

    hub: Hub
    occasion: Occasion
    now: datetime
    work: Mapping[str, WorkState]
    streams: Mapping[tuple[str, str], StreamState]
    paused: frozenset[str]
    waiting: Waiting
    held: tuple[Held, ...]

    # --- what is due ----------------------------------------------------------------------------

    def works(self) -> Iterator[Work]:
        """Yields what is due, quick things first."""
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
        """Yields the connections that can be spoken to now."""
        for name, connection in self.hub.connections.items():
            if name not in self.paused and name not in self.occasion.failed:
                yield connection

    def _has_notifications(self, connection: str) -> bool:
        """Returns True if something is to be fetched that no pause of its stream holds up."""
        channels = self.hub.connections[connection].channels
        fetched = {stream for name, stream in self.waiting.fetch if name == connection}
        told = {stream for name, stream in self.waiting.told if name == connection}
        if told - set(channels):
            return True  # about streams that nobody has mapped: processing them forgets them
        known = (told | fetched) & set(channels)
        return any(not self._stream(connection, one).paused_at for one in known)

    def _never_read(self, connection: str) -> tuple[str, ...]:
        """Returns the streams that were never read.

        What looks missing in them may only be unknown: writing it would make duplicates.
        """
        channels = self.hub.connections[connection].channels
        return tuple(one for one in channels if not self._stream(connection, one).read_at)

    def _stream(self, connection: str, stream: str) -> StreamState:
        return self.streams.get((connection, stream), StreamState())

    def _wanted(self, connection: Connection) -> set[str]:
        """Returns the streams that are read: those asked for, and what must be known before."""
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
        if state.paused_at:
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

        Without them its records could only be quarantined: the stream would count as read though
        nobody knows who is in it, and people that the other side knows, too, would be made a
        second time.
        """
        streams = list(self.hub.connections[channel.connection].channels)
        earlier = streams[: streams.index(channel.stream)]
        parents = set(channel.mapping.references.values()) & set(earlier)
        return {one for one in parents if not self._stream(channel.connection, one).read_at}

    # --- what is not, and why -------------------------------------------------------------------

    def in_the_way(self) -> Iterator[Held]:
        """Yields what other processes hold of that which is wanted here."""
        for held in self.held:
            connection = self.hub.connections.get(held.connection)
            if connection is None or held.connection in self.paused:
                continue
            if not held.stream:
                yield held
            elif held.stream in self._wanted(connection):
                work = Work("pull", held.connection, held.stream)
                if self.occasion.reads(work, None, self.now):
                    yield held

    def unread(self) -> dict[str, tuple[str, ...]]:
        """Returns where writes wait for the first read of streams."""
        waiting = {n for n in self.waiting.push if n in self.hub.connections}
        if self.waiting.derive:
            waiting |= set(self.hub.connections)
        return {name: never for name in sorted(waiting) if (never := self._never_read(name))}
