"""GET /metrics: counts of backlog and runs, for Prometheus. No customer data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hub.store.backlog import Figures, figures
from hub.store.engine import Store
from hub.store.rate_limits import usage
from hub.web.zeros import Configured

#: Runs are deleted in time, so they are counted over a window, as gauges.
_WINDOW = timedelta(days=1)


class Waiting(Collector):
    """Queries the database at each scrape."""

    def __init__(self, store: Store, clock: Callable[[], datetime], configured: Configured) -> None:
        self._store = store
        self._clock = clock
        self._configured = configured

    def describe(self) -> Iterable[Metric]:
        """Returns nothing, so that registering does not query the database."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Yields all gauges."""
        now = self._clock()
        with self._store.read() as tx:
            found = self._configured.fill(figures(tx, since=now - _WINDOW))
            calls = self._configured.fill_calls(usage(tx, now=now))
        yield from _backlogs(found)
        yield from _calls(calls)
        yield from _runs(found)
        ages = _gauge(
            "tulay_stream_age_seconds", "Seconds since the last complete read", "connection stream"
        )
        for (connection, stream), read_at in found.read_at.items():
            ages.add_metric([connection, stream], (now - read_at).total_seconds())
        yield ages
        yield _read(found, self._configured)


def _gauge(name: str, text: str, labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=labels.split())


def _read(found: Figures, configured: Configured) -> GaugeMetricFamily:
    """Returns whether streams were ever read: before that they have no age, not an age of 0."""
    read = _gauge("tulay_stream_read", "1: it was read completely once", "connection stream")
    streams = dict.fromkeys((name, s) for name, all_ in configured.streams.items() for s in all_)
    for labels in streams | dict.fromkeys(found.read_at):
        read.add_metric(list(labels), int(labels in found.read_at))
    return read


def _backlogs(found: Figures) -> Iterable[Metric]:
    inbox = _gauge("tulay_inbox", "Notifications to process", "connection")
    outbox = _gauge("tulay_outbox", "Records to write", "connection state")
    for (connection, state), number in found.backlog.items():
        if state == "inbox":
            inbox.add_metric([connection], number)
        else:
            outbox.add_metric([connection, state], number)
    quarantine = _gauge(
        "tulay_letters", "Records and derivations in quarantine", "kind source state"
    )
    for labels, number in found.quarantine.items():
        quarantine.add_metric(list(labels), number)
    conflicts = _gauge("tulay_conflicts", "Open conflicts", "connection")
    for connection, number in found.conflicts.items():
        conflicts.add_metric([connection], number)
    reviews = _gauge("tulay_reviews", "Open reviews of identities", "connection")
    for connection, number in found.reviews.items():
        reviews.add_metric([connection], number)
    derivations = _gauge("tulay_derivations", "Golden records whose flows are due", "")
    derivations.add_metric([], found.derivations)
    return inbox, outbox, quarantine, conflicts, reviews, derivations


def _calls(found: Mapping[str, tuple[int, int | None]]) -> Iterable[Metric]:
    today = _gauge("tulay_calls_today", "Calls since midnight (UTC)", "connection")
    share = _gauge("tulay_quota_used_ratio", "Used share of the daily limit", "connection")
    for connection, (used, daily) in found.items():
        today.add_metric([connection], used)
        # Without a known limit, no share of it is used.
        share.add_metric([connection], used / daily if daily else 0)
    return today, share


def _runs(found: Figures) -> Iterable[Metric]:
    runs = _gauge("tulay_runs_1d", "Runs of the last day", "kind connection stream state")
    records = _gauge("tulay_run_records_1d", "Records in these runs", "kind connection stream what")
    sums: dict[tuple[str, str, str, str], int] = {}
    for one in found.runs:
        runs.add_metric([one.kind, one.connection, one.stream, one.state], one.runs)
        for count in ("seen", "changed", "written", "quarantined"):
            labels = (one.kind, one.connection, one.stream, count)
            sums[labels] = sums.get(labels, 0) + int(getattr(one, count))
    for labels, number in sums.items():
        records.add_metric(list(labels), number)
    return runs, records


def registry_of(
    store: Store, clock: Callable[[], datetime], configured: Configured | None = None
) -> tuple[CollectorRegistry, Counter]:
    """Returns the registry of one receiver process, and its counter of deliveries."""
    registry = CollectorRegistry()
    registry.register(Waiting(store, clock, configured or Configured()))
    deliveries = Counter(
        "tulay_webhooks",
        "Deliveries by result",
        ["connection", "result"],
        registry=registry,
    )
    return registry, deliveries
