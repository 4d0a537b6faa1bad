"""Logs one line at DEBUG for each record that was read or written: keys and outcome.

Never values, names or reasons, which may quote them. Costs one comparison when DEBUG is off.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

from hub.sync.storing import Effects

log = logging.getLogger("tulay.records")


@dataclass(frozen=True, slots=True)
class RecordEvent:
    """What happened to one record; its fields are those of the log line."""

    connection: str
    #: For an outbox entry that belongs to no stream, its entity.
    stream: str
    #: Empty if the remote system has no such record.
    key: str
    #: new | linked | changed | same | gone | quarantined | under review | to be fetched
    #: | written | refused | postponed | needs nothing
    happened: str
    golden_id: str | None = None
    #: The cause, if it is quarantined, refused or postponed.
    cause: str | None = None

    def __str__(self) -> str:
        """Returns the line as text.

        >>> str(RecordEvent("crm", "deals", "7", "quarantined", cause="unreadable"))
        'crm.deals 7: quarantined (unreadable)'
        """
        because = f" ({self.cause})" if self.cause else ""
        which = self.key or f"golden record {self.golden_id}"
        return f"{self.connection}.{self.stream} {which}: {self.happened}{because}"


def log_records(events: Callable[[], Iterable[RecordEvent]]) -> None:
    """Logs what happened to records; `events` is called only at DEBUG."""
    if log.isEnabledFor(logging.DEBUG):
        for event in events():
            log.debug("%s", event, extra=asdict(event))


def log_ingested(effects: Effects) -> None:
    """Logs the effects of a transaction on the records of a page; a repeated one logs twice."""
    log_records(lambda: _ingested(effects))


def _ingested(effects: Effects) -> Iterator[RecordEvent]:
    new = {golden.id for golden in effects.golden_new}
    for link in effects.links_new:
        happened = "new" if link.golden_id in new else "linked"
        yield RecordEvent(link.connection, link.stream, link.key, happened, link.golden_id)
    for link in effects.links_changed.values():
        if link.gone_at is not None:
            happened = "gone"
        else:
            happened = "changed" if link.golden_id in effects.golden_changed else "same"
        yield RecordEvent(link.connection, link.stream, link.key, happened, link.golden_id)
    for problem, _ in effects.quarantined.values():
        about = (problem.source, problem.stream, problem.key)
        yield RecordEvent(*about, "quarantined", cause=problem.cause.value)
    for question in effects.reviews:
        yield RecordEvent(question.connection, question.stream, question.key, "under review")
    for entry in effects.notifications:
        yield RecordEvent(entry.connection, entry.stream, entry.key, "to be fetched")
