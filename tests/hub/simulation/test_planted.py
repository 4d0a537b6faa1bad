"""A simulation that cannot fail proves nothing: every planted defect of the core breaks a
promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from connectors.kit.contract import Page
from connectors.kit.errors import ConnectorError
from hub.model.observe import Baseline, Observation, RecordContext, observe
from hub.model.state import LinkState
from hub.simulation.perform import SimulationResult
from hub.simulation.stage import FaultyConnector
from hub.store import audit
from hub.store.links import Link
from hub.store.runs import Tally
from hub.store.streams import save_stream
from hub.sync.changeset import ChangeSet
from hub.sync.context import Hub
from hub.sync.ingest import observing
from hub.sync.ingest.page import ingest
from hub.sync.push import batch, job, selection, sending
from mappings.canonical.values import Scalar

Patch = pytest.MonkeyPatch


def create_again_without_a_probe(patch: Patch) -> None:
    patch.setattr(batch, "probe", lambda *_args: None)


def cursor_before_the_page(patch: Patch) -> None:
    real = FaultyConnector.pages

    def pages(self: FaultyConnector, stream: str, since: str | None) -> Iterator[Page]:
        found: list[Page] = []
        try:
            found += real(self, stream, since)
        finally:
            cursor = next((page.cursor for page in reversed(found) if page.cursor), None)
            hub = self._stage.hub
            if cursor is not None:
                with hub.store.begin() as tx:
                    name = self.connector.system.name
                    fingerprint = hub.connection(name).channel(stream).mapping.fingerprint
                    saved = {"cursor": cursor, "fingerprint": fingerprint}
                    save_stream(tx, name, stream, **saved)
        return iter(found)

    patch.setattr(FaultyConnector, "pages", pages)


def clocks_instead_of_seen(patch: Patch) -> None:
    def by_the_clock(
        baseline: Baseline, values: Mapping[str, Scalar], context: RecordContext
    ) -> Observation:
        known: dict[str, Scalar] = dict(values)
        for path in values:
            at = baseline.changed_at(path)
            if at is not None and context.modified_at is not None and context.modified_at < at:
                known[path] = baseline.link.seen_at(path)
        return observe(baseline, known, context)

    patch.setattr(observing, "observe", by_the_clock)


def without_shown(patch: Patch) -> None:
    patch.setattr(LinkState, "shown_at", LinkState.agreed_at)


def incomplete_sweeps_believed(patch: Patch) -> None:
    def sweep(hub: Hub, connection: str, stream: str, **_: Any) -> Tally:
        channel = hub.connection(connection).channel(stream)
        present: set[str] = set()
        try:
            for portion in channel.connector.keys(stream):
                present.update(portion)
        except ConnectorError:
            present.add("")  # as if it were complete
        tally = Tally(hub.fresh_id(), "sweep", connection, stream, hub.clock())
        with hub.store.begin() as tx:
            linked = audit.living_links(tx, connection, stream, after="", limit=10_000)
            gone = sorted(set(linked) - present)
            ingest(hub, tx, channel, page=Page(gone=gone), tally=tally)
            save_stream(tx, connection, stream, swept_at=hub.clock())
        return tally

    patch.setattr("hub.simulation.operations.sweep", sweep)


def stale_pages_applied(patch: Patch) -> None:
    for question in ("is_older", "of_one_time"):
        patch.setattr(observing, question, lambda *_args: False)


def conflicts_forgotten(patch: Patch) -> None:
    patch.setattr(ChangeSet, "conflicts_found", lambda *_args: None)


def deletions_made_again(patch: Patch) -> None:
    real = selection.primary_link

    def forgetful(links: Sequence[Link], channel: Any) -> Link | None:
        return real([link for link in links if link.gone_at is None], channel)

    for module in (selection, job):
        patch.setattr(module, "primary_link", forgetful)
    patch.setattr(sending, "not_to_create", lambda *_args: {})


def no_person_is_asked(patch: Patch) -> None:
    for name in ("hub.sync.ingest.sweep.exceeds_limit", "hub.sync.change_limits.exceeds_limit"):
        patch.setattr(name, lambda *_args: False)
    patch.setattr("hub.sync.change_limits.exceeds_window_limit", lambda *_args: False)


PLANTED: list[tuple[Callable[[Patch], None], str, set[str]]] = [
    (create_again_without_a_probe, "lost:0.01,lag", {"P2"}),
    (cursor_before_the_page, "kill", {"P1", "P3", "P4"}),
    (clocks_instead_of_seen, "skew", {"P1", "P3"}),
    (without_shown, "shouted,shortened", {"P3", "P4"}),
    (incomplete_sweeps_believed, "down", {"P1", "P3", "P4", "P8"}),
    (stale_pages_applied, "stale", {"P3", "P4"}),
    (conflicts_forgotten, "none", {"P1", "P3"}),
    (deletions_made_again, "none", {"P8"}),
    (no_person_is_asked, "surprise:1", {"P9"}),
]


@pytest.mark.parametrize(
    ("plant", "faults", "promises"), PLANTED, ids=[p[0].__name__ for p in PLANTED]
)
def test_a_planted_defect_is_found(
    plant: Callable[[Patch], None],
    faults: str,
    promises: set[str],
    monkeypatch: Patch,
    rehearse: Callable[..., SimulationResult],
) -> None:
    plant(monkeypatch)
    broken: set[str] = set()
    for seed in range(1, 9):
        records = 6 if "surprise" in faults else None
        done = rehearse(seed, 120, faults, records=records)
        broken |= {finding.promise for finding in done.check_result.findings}
        if broken & promises:
            return
    pytest.fail(f"nothing was noticed; broken: {broken or 'none'}")
