"""Writes batches: all at once where the server allows it, halved when a row is refused.

Tryton writes a batch wholly or not at all, so that a refused one has left no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any

import orjson

from connectors.kit.contract import Action, Create, Delete, Outcome, Update, Write
from connectors.kit.errors import (
    ConnectorError,
    ContractError,
    RecordError,
    RecordMissingError,
    RecordRejectedError,
    RecordStaleError,
)
from connectors.tryton.client import Row, TrytonClient
from connectors.tryton.ordering import Clerk
from connectors.tryton.patches import Translator, Values, added
from connectors.tryton.people import change, leave, new_phones
from connectors.tryton.phones import Phones
from connectors.tryton.reading import Reader
from connectors.tryton.streams import STREAMS, Stream
from connectors.tryton.values import MARK, make_version, marked, unmarked

PRODUCT = "product.product"
SALE = "sale.sale"
CONTACT = "party.contact_mechanism"
#: Records whose button is pressed in one call, which must end well before the time-out.
_TOGETHER = 10


@dataclass(frozen=True, slots=True)
class _Job:
    """One write, ready to be sent."""

    place: int
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
class _Batch:
    """The outcomes so far, and what makes going on pointless."""

    clerk: Clerk
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    broken: ConnectorError | None = None

    def fail(self, jobs: Sequence[_Job], error: ConnectorError) -> None:
        for job in jobs:
            self.outcomes[job.place] = Outcome(key=None, error=error)

    def give_up(self, writes: Sequence[tuple[int, Write]]) -> None:
        for place, _ in writes:
            self.outcomes[place] = Outcome(error=self.broken)


class Writer:
    """Writes to the streams of one Tryton."""

    def __init__(self, client: TrytonClient, reader: Reader, *, payment_term: str | None) -> None:
        self._client = client
        self._reader = reader
        self._translator = Translator(client)
        self._phones = Phones(client)
        self._payment_term = payment_term

    def write(self, stream: Stream, writes: Sequence[Write]) -> list[Outcome]:
        """Writes all and returns one outcome each, in the same order.

        Raises: whatever error has kept every single one from being sent.
        """
        batch = _Batch(Clerk(self._client, self._payment_term))
        numbered = list(enumerate(writes))
        kinds: dict[type[Any], Callable[..., None]] = {
            Create: self._create,
            Update: self._change,
            Delete: self._change,
            Action: self._act,
        }
        for run, members in groupby(numbered, lambda pair: kinds[type(pair[1])]):
            run(stream, list(members), batch)
        outcomes = [batch.outcomes[place] for place in range(len(writes))]
        if batch.broken and all(outcome.error is batch.broken for outcome in outcomes):
            raise batch.broken
        return outcomes

    def _create(self, stream: Stream, writes: list[tuple[int, Create]], batch: _Batch) -> None:
        # Tryton does not keep hub ids unique: look first, so that twice makes one record
        known = (
            {}
            if batch.broken
            else self._reader.find(stream, [each.external_id for _, each in writes])
        )
        jobs: list[_Job] = []
        for place, write in writes:
            if (found := known.get(write.external_id)) is not None:
                batch.outcomes[place] = Outcome(key=found.key)
                continue
            try:
                values = self._creation(stream, write, batch.clerk)
            except RecordError as error:
                batch.outcomes[place] = Outcome(error=error)
            else:
                along = new_phones(values, write.external_id) if stream.people else []
                jobs.append(_Job(place, stream.model, values, along=along))
        self._send(jobs, batch, self._send_creates)

    def _creation(self, stream: Stream, write: Create, clerk: Clerk) -> Values:
        if not stream.create:
            raise RecordRejectedError(
                f"{stream.model} are not created from outside", stream=stream.model
            )
        values = self._phones.screened(self._translator.values(stream, write.payload, None), None)
        match stream.once:
            case "identifiers":
                own = {"type": None, "code": f"{MARK}{write.external_id}"}
                given = added(values.get("identifiers", ()))
                values["identifiers"] = [["create", [*given, own]]]
            case "reference" | "comment":
                values[stream.once] = marked(values.get(stream.once), write.external_id)
        if stream.model == CONTACT:
            values = {"type": "email", **values}
        if stream.model == SALE:
            values = clerk.complete(values)
            values["lines"] = clerk.complete_lines(values.get("lines", ()), values)
        return values

    def _change(
        self,
        stream: Stream,
        writes: list[tuple[int, Update | Delete]],
        batch: _Batch,
    ) -> None:
        if batch.broken:
            batch.give_up(writes)
            return
        rows = self._reader.rows(stream, [write.key for _, write in writes])
        jobs: list[_Job] = []
        for place, write in writes:
            try:
                row = self._current(stream, write, rows)
                jobs.append(self._job(stream, write, row, place=place, clerk=batch.clerk))
            except RecordError as error:
                batch.outcomes[place] = Outcome(error=error)
        empty = [job for job in jobs if not job.values]
        batch.outcomes.update({job.place: Outcome(key=job.key) for job in empty})
        for model in dict.fromkeys(job.model for job in jobs):
            some = [job for job in jobs if job.values and job.model == model]
            self._send(some, batch, self._send_changes)

    def _current(
        self, stream: Stream, write: Update | Delete | Action, rows: dict[str, Row]
    ) -> Row:
        row = rows.get(write.key)
        about = f"{stream.model} {write.key}"
        if row is None or row.get("replaced_by"):
            raise RecordMissingError(f"{about} is gone", stream=stream.model, key=write.key)
        if write.if_version is not None and write.if_version != make_version(stream.rows(row)):
            raise RecordStaleError(
                f"{about} changed since it was read", stream=stream.model, key=write.key
            )
        return row

    def _job(
        self, stream: Stream, write: Update | Delete, row: Row, *, place: int, clerk: Clerk
    ) -> _Job:
        if not (stream.archive if isinstance(write, Delete) else stream.update):
            raise RecordRejectedError(
                f"{stream.model} {write.key} cannot be changed from outside",
                stream=stream.model,
                key=write.key,
            )
        stamps = orjson.loads(write.if_version) if write.if_version else {}
        if isinstance(write, Delete):
            values: Values = {"active": False}
        else:
            values = self._translator.values(stream, write.payload, row)
            values = self._phones.screened(values, row)
        model, target = stream.model, int(write.key)
        if stream.model == PRODUCT:
            model, target = "product.template", int(row["template."]["id"])
            values = _nested_in_template(values, int(write.key))
        if stream.model == SALE:
            values = self._sale_change(values, row, clerk)
        besides: list[tuple[int, Values]] = []
        if stream.people:
            pairs = leave(row) if isinstance(write, Delete) else change(values, row)
            values.pop("phones", None)
            if pairs:
                model, (target, values), *besides = "party.party", *pairs
        return _Job(place, model, values, write.key, target, stamps, besides=besides)

    def _sale_change(self, values: Values, row: Row, clerk: Clerk) -> Values:
        once = unmarked(row.get("reference"))[1]
        if "reference" in values and once:
            values["reference"] = marked(values["reference"], once)
        if added(values.get("lines", ())):
            parent = {**clerk.parent_of(row), **values}
            values["lines"] = clerk.complete_lines(values["lines"], parent)
        return values

    def _act(self, stream: Stream, writes: list[tuple[int, Action]], batch: _Batch) -> None:
        """Presses buttons, of many records at a time where neighbours want the same one."""
        for action, run in groupby(writes, lambda pair: pair[1].transition):
            members = list(run)
            try:
                jobs = self._presses(stream, members, batch)
            except ConnectorError as error:
                batch.broken = error
                batch.give_up(members)
                continue
            for start in range(0, len(jobs), _TOGETHER):
                press = partial(self._press, action)
                self._send(jobs[start : start + _TOGETHER], batch, press)

    def _presses(
        self, stream: Stream, writes: list[tuple[int, Action]], batch: _Batch
    ) -> list[_Job]:
        """Returns what is still to be pressed; the others get their outcomes."""
        if batch.broken:
            batch.give_up(writes)
            return []
        rows = self._reader.rows(stream, [write.key for _, write in writes])
        jobs: list[_Job] = []
        for place, write in writes:
            try:
                states = _states(stream, write)
                row = self._current(stream, write, rows)
            except RecordError as error:
                batch.outcomes[place] = Outcome(error=error)
                continue
            if row.get("state") in states:
                batch.outcomes[place] = Outcome(key=write.key)
                continue
            stamps = orjson.loads(write.if_version) if write.if_version else {}
            jobs.append(_Job(place, stream.model, {}, write.key, int(write.key), stamps))
        return jobs

    def _press(self, action: str, jobs: list[_Job]) -> list[str]:
        model = jobs[0].model
        stamps = {name: stamp for job in jobs for name, stamp in job.stamps.items()}
        self._client.call(
            f"model.{model}.{action}",
            list(dict.fromkeys(job.target for job in jobs)),
            context={"_timestamp": stamps},
            stream=model,
            key=jobs[0].key if len(jobs) == 1 else None,
        )
        self._insist(action, jobs)
        return [str(job.key) for job in jobs]

    def _insist(self, action: str, jobs: list[_Job]) -> None:
        """Raises RecordRejectedError when a button had no effect, where the server keeps quiet."""
        # quirk(tryton): 7.0 does nothing, and says nothing, when a button is pressed in a state
        # that does not allow it. Source: trytond 7.0.59, seen live
        if not self._client.series().startswith("7."):
            return
        model, done = jobs[0].model, STREAMS[jobs[0].model].actions[action]
        domain = [["id", "in", [job.target for job in jobs]]]
        for row in self._client.search_read(model, domain, ["state"]):
            if row["state"] not in done:
                raise RecordRejectedError(
                    f'"{action}" did nothing: {model} is {row["state"]}',
                    stream=model,
                    key=str(row["id"]),
                )

    def _send(
        self, jobs: list[_Job], batch: _Batch, send: Callable[[list[_Job]], list[str]]
    ) -> None:
        """Sends jobs together; halves them when they are refused, until each has its outcome."""
        if not jobs:
            return
        if batch.broken:
            batch.fail(jobs, batch.broken)
            return
        try:
            keys = send(jobs)
        except (RecordError, ContractError) as error:
            if len(jobs) == 1:
                batch.fail(jobs, error)
                return
            middle = len(jobs) // 2
            self._send(jobs[:middle], batch, send)
            self._send(jobs[middle:], batch, send)
        except ConnectorError as error:
            batch.broken = error
            batch.fail(jobs, error)
        else:
            for job, key in zip(jobs, keys, strict=True):
                batch.outcomes[job.place] = Outcome(key=key)

    def _send_creates(self, jobs: list[_Job]) -> list[str]:
        model = jobs[0].model
        rows = [row for job in jobs for row in (job.values, *job.along)]
        found = iter(self._client.call(f"model.{model}.create", rows, stream=model))
        keys = [[str(next(found)) for _ in (job, *job.along)] for job in jobs]
        return [own for own, *_along in keys]

    def _send_changes(self, jobs: list[_Job]) -> list[str]:
        model = jobs[0].model
        pairs: list[Any] = []
        stamps: dict[str, str] = {}
        for job in jobs:
            for target, values in ((job.target, job.values), *job.besides):
                pairs += [[target], values]
            stamps |= job.stamps
        key = jobs[0].key if len(jobs) == 1 else None
        self._client.call(
            f"model.{model}.write", *pairs, context={"_timestamp": stamps}, stream=model, key=key
        )
        return [str(job.key) for job in jobs]


def _states(stream: Stream, write: Action) -> Collection[str]:
    """Returns the states in which nothing is left to press. Raises: RecordRejectedError."""
    if write.transition not in stream.actions:
        raise RecordRejectedError(
            f"{stream.model} knows no action {write.transition!r}",
            stream=stream.model,
            key=write.key,
        )
    return stream.actions[write.transition]


def _nested_in_template(values: Values, product: int) -> Values:
    """Returns values for a template that also change one of its products, in one call.

    >>> _nested_in_template({"template.name": "Bolt", "active": True}, 7)
    {'name': 'Bolt', 'products': [['write', [7], {'active': True}]]}
    """
    prefix = "template."
    shared = {
        name.removeprefix(prefix): value
        for name, value in values.items()
        if name.startswith(prefix)
    }
    own = {name: value for name, value in values.items() if not name.startswith(prefix)}
    return {**shared, "products": [["write", [product], own]]} if own else shared
