"""Series that exist at zero before anything was counted, for dashboards and alerts.

Connections that are no longer configured remain visible while anything of theirs is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hub.store.backlog import BACKLOG_STATES, Figures, RunFigures
from hub.store.runs import RUN_STATES
from hub.sync.context import Hub
from hub.sync.flows import flow_sources

#: The states of runs over the inbox, which are stored only when they have ended.
_INBOX_ENDS = ("done", "paused", "inconsistent")
_QUARANTINED = ("waiting", "held")


@dataclass(frozen=True, slots=True)
class Configured:
    """The connections of a hub, each with its mapped streams."""

    streams: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, hub: Hub) -> Configured:
        """Returns the connections of a hub."""
        return cls({name: tuple(one.channels) for name, one in hub.connections.items()})

    def fill(self, found: Figures) -> Figures:
        """Returns the figures with a zero for each series that may appear later."""
        zero = dict.fromkeys(self.streams, 0)
        backlog = {(name, state): 0 for name in self.streams for state in BACKLOG_STATES}
        sources = [("pull", name) for name in self.streams] + [("flow", f) for f in flow_sources()]
        held = {(*source, state): 0 for source in sources for state in _QUARANTINED}
        known = {(run.kind, run.connection, run.stream, run.state) for run in found.runs}
        runs = [RunFigures(*key, 0, 0, 0, 0, 0) for key in self._runs() if key not in known]
        return replace(
            found,
            backlog=backlog | found.backlog,
            quarantine=held | found.quarantine,
            conflicts=zero | found.conflicts,
            reviews=zero | found.reviews,
            runs=[*found.runs, *runs],
        )

    def fill_calls(
        self, found: Mapping[str, tuple[int, int | None]]
    ) -> dict[str, tuple[int, int | None]]:
        """Returns the calls with a zero for each connection that has made none."""
        return dict.fromkeys(self.streams, (0, None)) | dict(found)

    def _runs(self) -> Iterator[tuple[str, str, str, str]]:
        """Yields kind, connection, stream and state of all possible runs."""
        for name, streams in self.streams.items():
            yield ("push", name, "", "done")
            for stream in streams:
                yield ("push", name, stream, "paused")  # deletions over the change limit
                yield from (("inbox", name, stream, state) for state in _INBOX_ENDS)
                for kind in ("pull", "sweep"):
                    yield from ((kind, name, stream, state) for state in RUN_STATES)
