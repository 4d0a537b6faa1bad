"""Finds what is due, from the database alone. Asking twice is harmless: work has stable names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from hub.store import work as store_work
from hub.store.connections import connection_states
from hub.store.streams import all_streams
from hub.store.work import Waiting, WorkState
from hub.sync.hub import Channel, Hub
from worker.queues import LANE_OF
from worker.schedule import is_due

#: Runs are forgotten, and open invoices looked at anew, this often.
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


class Timed(Protocol):
    """The part of the settings that says when: hub.settings.Settings."""

    @property
    def schedules(self) -> Rhythm:
        """How often what is looked at."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """One piece of work: what, where."""

    #: pull | sweep | drain | push | derive | tidy
    kind: str
    connection: str = ""
    stream: str = ""
    #: Nothing waits for it: the first read of a stream, a sweep.
    slow: bool = False

    @property
    def name(self) -> str:
        """The same for the same work, always."""
        return " ".join(part for part in (self.kind, self.connection, self.stream) if part)

    @property
    def lane(self) -> str:
        """Which queue it goes to."""
        return "bulk" if self.slow else LANE_OF[self.kind]


@dataclass(frozen=True)
class _Picture:
    """All that decides what is due."""

    hub: Hub
    rhythm: Rhythm
    now: datetime
    work: Mapping[str, WorkState]
    streams: Mapping[tuple[str, str], Mapping[str, Any]]
    paused: frozenset[str]
    waiting: Waiting

    def works(self) -> Iterator[Work]:
        """Yields what is due, quick things first."""
        yield from self._quick()
        for connection in self.hub.connections.values():
            if connection.name not in self.paused:
                for channel in connection.channels.values():
                    yield from self._reading(channel)
        if is_due(self.work.get("tidy", _NEW).done_at, _TIDY, self.now):
            yield Work("tidy")

    def _quick(self) -> Iterator[Work]:
        for name in self.hub.connections:
            if name in self.waiting.drain and name not in self.paused:
                yield Work("drain", name)
        # Before everything was read once, what looks missing may only be unknown: writing it
        # would make duplicates.
        known = {name for name in self.hub.connections if self._was_read(name)}
        if self.waiting.derive and len(known) == len(self.hub.connections):
            yield Work("derive")
        for name in self.hub.connections:
            if name in self.waiting.push and name not in self.paused and name in known:
                yield Work("push", name)

    def _was_read(self, connection: str) -> bool:
        channels = self.hub.connections[connection].channels
        return all(self._stream(connection, stream).get("read_at") for stream in channels)

    def _stream(self, connection: str, stream: str) -> Mapping[str, Any]:
        return self.streams.get((connection, stream), {})

    def _reading(self, channel: Channel) -> Iterator[Work]:
        state = self._stream(channel.connection, channel.stream)
        leased = state.get("leased_until")
        if state.get("paused_at") or (leased is not None and leased >= self.now):
            return
        read_at = state.get("read_at")
        if read_at is None and self._parents_unread(channel):
            return
        every = self.rhythm.pull_every(channel.connection, channel.stream)
        if is_due(read_at, every, self.now):
            yield Work("pull", channel.connection, channel.stream, slow=read_at is None)
        if read_at and is_due(state.get("swept_at"), self.rhythm.sweep, self.now):
            yield Work("sweep", channel.connection, channel.stream, slow=True)

    def _parents_unread(self, channel: Channel) -> bool:
        """Says whether what its records refer to was never read: they could only be set aside.

        Then the stream would count as read though nobody knows who is in it, and people that the
        other side knows, too, would be made a second time.
        """
        streams = list(self.hub.connections[channel.connection].channels)
        earlier = streams[: streams.index(channel.stream)]
        parents = set(channel.mapping.references.values()) & set(earlier)
        return any(not self._stream(channel.connection, one).get("read_at") for one in parents)


def due_work(hub: Hub, settings: Timed, now: datetime) -> list[Work]:
    """Returns the work that is due and that nobody has: in-process or by rq, once or twice."""
    with hub.store.read() as tx:
        paused = {
            name for name, state in connection_states(tx).items() if state["paused_at"] is not None
        }
        picture = _Picture(
            hub=hub,
            rhythm=settings.schedules,
            now=now,
            work=store_work.states(tx),
            streams={(row["connection"], row["stream"]): row for row in all_streams(tx)},
            paused=frozenset(paused),
            waiting=store_work.waiting(tx, now=now),
        )
    return [one for one in picture.works() if picture.work.get(one.name, _NEW).free(now)]
