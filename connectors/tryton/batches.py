"""The writes of one batch on their way: sent together, halved when a row is refused.

Tryton writes a batch wholly or not at all, so that a refused one has left no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from connectors.kit.contract import Action, Delete, Outcome, Update, Write
from connectors.kit.errors import (
    ConnectorError,
    ContractError,
    RecordError,
    RecordMissingError,
    RecordStaleError,
)
from connectors.tryton.client import Row
from connectors.tryton.ordering import Clerk
from connectors.tryton.stream_models import Stream
from connectors.tryton.wire_values import make_version
from connectors.tryton.write_values import Values


@dataclass(frozen=True, slots=True)
class Job:
    """One write, ready to be sent."""

    #: Its index in the batch.
    index: int
    model: str
    values: Values = field(repr=False)
    key: str | None = None
    #: The row to write, which is not `key` for products.
    target: int = 0
    stamps: dict[str, str] = field(default_factory=dict)
    #: Rows to create along with it.
    along: list[Values] = field(default_factory=list, repr=False)
    #: What else must change in the same call: id and values.
    besides: list[tuple[int, Values]] = field(default_factory=list, repr=False)


@dataclass(slots=True)
class Batch:
    """The outcomes so far, and what makes going on pointless."""

    clerk: Clerk
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    broken: ConnectorError | None = None

    def send(self, jobs: Sequence[Job], send: Callable[[Sequence[Job]], list[str]]) -> None:
        """Sends jobs together; halves them when they are refused, until each has its outcome."""
        if not jobs:
            return
        if self.broken:
            self._fail(jobs, self.broken)
            return
        try:
            keys = send(jobs)
        except (RecordError, ContractError) as error:
            if len(jobs) == 1:
                self._fail(jobs, error)
                return
            middle = len(jobs) // 2
            self.send(jobs[:middle], send)
            self.send(jobs[middle:], send)
        except ConnectorError as error:
            self.broken = error
            self._fail(jobs, error)
        else:
            for job, key in zip(jobs, keys, strict=True):
                self.outcomes[job.index] = Outcome(key=key)

    def _fail(self, jobs: Sequence[Job], error: ConnectorError) -> None:
        for job in jobs:
            self.outcomes[job.index] = Outcome(key=None, error=error)

    def give_up(self, writes: Sequence[tuple[int, Write]]) -> None:
        """Gives writes the outcome of what broke the batch."""
        for index, _ in writes:
            self.outcomes[index] = Outcome(error=self.broken)


def current_row(stream: Stream, write: Update | Delete | Action, rows: Mapping[str, Row]) -> Row:
    """Returns the row that a write is about.

    Raises: RecordMissingError, RecordStaleError when it is not the version expected.
    """
    row = rows.get(write.key)
    about = f"{stream.model} {write.key}"
    if row is None or row.get("replaced_by"):
        raise RecordMissingError(f"{about} is gone", stream=stream.model, key=write.key)
    if write.if_version is not None and write.if_version != make_version(stream.rows(row)):
        raise RecordStaleError(
            f"{about} changed since it was read", stream=stream.model, key=write.key
        )
    return row


def stamps_of(write: Update | Delete | Action) -> dict[str, str]:
    """Returns the times at which the rows were last written, as the server compares them."""
    stamps: dict[str, str] = orjson.loads(write.if_version) if write.if_version else {}
    return stamps
