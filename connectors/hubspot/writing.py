"""Writes records, one outcome each; one bad row never affects the others.

Never repeats a create whose outcome is unknown: `find` shows whether it was executed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from connectors.hubspot.association_types import AssociationKinds
from connectors.hubspot.association_writer import LinkWriter, association_inputs
from connectors.hubspot.batches import one_by_one, run_batch, texts
from connectors.hubspot.client import HubSpotClient, Json
from connectors.hubspot.lost_updates import overwritten
from connectors.hubspot.records import RecordReader, modified_text, same_version
from connectors.hubspot.vocabulary import BATCH, LINES, ONCE
from connectors.kit.contract import Action, Create, Delete, Outcome, Update, Write
from connectors.kit.errors import (
    ConnectorError,
    RecordError,
    RecordMissingError,
    RecordRejectedError,
    RecordStaleError,
    UnavailableError,
)

#: Writes of one kind by their place in the whole call.
Creates = Mapping[int, Create]
Updates = Mapping[int, Update]
Deletes = Mapping[int, Delete]
Outcomes = dict[int, Outcome]

K = TypeVar("K", Create, Update, Delete)
W = TypeVar("W", Creates, Updates, Deletes)


class RecordWriter:
    """Writes the records of one stream."""

    def __init__(
        self, client: HubSpotClient, reader: RecordReader, kinds: AssociationKinds
    ) -> None:
        self._client = client
        self._reader = reader
        self._kinds = kinds
        self._stream = reader.names.name
        self._links = LinkWriter(client, reader, kinds)

    def write(self, writes: Sequence[Write]) -> list[Outcome]:
        """Writes them in batches, one outcome each in the same order."""
        outcomes: Outcomes = {
            n: Outcome(error=self._no_action(one))
            for n, one in enumerate(writes)
            if isinstance(one, Action)
        }
        for creates in _batches(writes, Create):
            outcomes.update(_safely(self._creates, creates, raises=not outcomes))
        for updates in _batches(writes, Update):
            outcomes.update(_safely(self._updates, updates, raises=not outcomes))
        for deletes in _batches(writes, Delete):
            outcomes.update(_safely(self._deletes, deletes, raises=not outcomes))
        return [outcomes[n] for n in range(len(writes))]

    def _no_action(self, act: Action) -> ConnectorError:
        return RecordRejectedError(
            f"HubSpot knows no action {act.transition!r} on {self._stream}",
            stream=self._stream,
            key=act.key,
        )

    # -- creates

    def _creates(self, creates: Creates) -> Outcomes:
        outcomes: Outcomes = {}
        inputs: dict[int, Json] = {}
        for n, one in creates.items():
            try:
                inputs[n] = self._new(one)
            except RecordError as error:
                outcomes[n] = Outcome(error=error)
        results = run_batch(
            self._stream,
            list(inputs.values()),
            together=self._client.batch_create,
            single=self._client.create,
        )
        for n, result in zip(inputs, results, strict=True):
            outcomes[n] = _outcome(result)
        fresh = {n for n, outcome in outcomes.items() if outcome.key}
        self._recognise(creates, outcomes)
        if self._reader.names.lines:
            self._add_lines(creates, outcomes, fresh=fresh)
        return outcomes

    def _new(self, create: Create) -> Json:
        values = create.payload.get("properties") or {}
        properties = texts({name: value for name, value in values.items() if value is not None})
        links = create.payload.get("associations") or {}
        return {
            "properties": {**properties, ONCE: create.external_id},
            "associations": association_inputs(self._kinds, self._stream, links),
        }

    def _recognise(self, creates: Creates, outcomes: Outcomes) -> None:
        """Turns refusals of records that an earlier create has made into successes."""
        # A 409 names an existing id, but that may be the owner of the e-mail address as well;
        # only the hub id tells whose record it is.
        refused = [n for n, one in outcomes.items() if isinstance(one.error, RecordRejectedError)]
        if not refused:
            return
        try:
            found = self._reader.find([creates[n].external_id for n in refused])
        except ConnectorError as error:
            outcomes.update((n, Outcome(error=error)) for n in refused)
            return
        for n in refused:
            if creates[n].external_id in found:
                outcomes[n] = Outcome(key=found[creates[n].external_id]["id"])

    def _add_lines(self, creates: Creates, outcomes: Outcomes, *, fresh: set[int]) -> None:
        keys = {n: outcomes[n].key for n in fresh}
        wanted = {key: creates[n].payload.get(LINES) or () for n, key in keys.items() if key}
        if not any(wanted.values()):
            return
        try:
            errors = self._links.lines(wanted)
        except ConnectorError as error:
            # The record exists; the next `find` returns it, and the hub adds what it lacks.
            errors = dict.fromkeys((key for key, lines in wanted.items() if lines), error)
        outcomes.update((n, Outcome(error=errors[key])) for n, key in keys.items() if key in errors)

    # -- updates

    def _updates(self, updates: Updates) -> Outcomes:
        outcomes = self._unexpected(updates)
        left = {n: one for n, one in updates.items() if n not in outcomes}
        changed = {n: one for n, one in left.items() if one.payload.get("properties")}
        results = run_batch(
            self._stream,
            [
                {"id": one.key, "properties": texts(one.payload["properties"])}
                for one in changed.values()
            ],
            together=self._client.batch_update,
            single=self._client.update_row,
        )
        outcomes.update((n, Outcome(key=one.key)) for n, one in left.items())
        for n, result in zip(changed, results, strict=True):
            outcomes[n] = _outcome(result)
        self._tell_overwritten(changed, outcomes)
        self._hang_on(left, outcomes)
        return outcomes

    def _tell_overwritten(self, changed: Updates, outcomes: Outcomes) -> None:
        done = [one for n, one in changed.items() if outcomes[n].error is None]
        try:
            found = overwritten(self._client, self._stream, done)
        except ConnectorError as error:
            # The writes were executed. "Unknown" makes the hub probe later.
            unknown = UnavailableError(f"{self._stream}: written, but not looked at: {error}")
            outcomes.update((n, Outcome(error=unknown)) for n, o in outcomes.items() if not o.error)
            return
        for n, one in changed.items():
            if one.key in found and outcomes[n].error is None:
                outcomes[n] = replace(outcomes[n], overwritten=found[one.key])

    def _hang_on(self, updates: Updates, outcomes: Outcomes) -> None:
        done = {n: one for n, one in updates.items() if outcomes[n].error is None}
        links = {one.key: one.payload.get("associations") or {} for one in done.values()}
        errors = self._links.associate({key: mine for key, mine in links.items() if mine})
        lines = {one.key: one.payload.get(LINES) or () for one in done.values()}
        if self._reader.names.lines and any(lines.values()):
            errors.update(self._links.lines(lines))
        for n, one in done.items():
            if one.key in errors:
                outcomes[n] = Outcome(error=errors[one.key])

    # -- deletes

    def _deletes(self, deletes: Deletes) -> Outcomes:
        outcomes = self._unexpected(deletes)
        for n, outcome in outcomes.items():
            if isinstance(outcome.error, RecordMissingError):
                outcomes[n] = Outcome(key=deletes[n].key)
        left = {n: one for n, one in deletes.items() if n not in outcomes}
        keys = [one.key for one in left.values()]
        if not keys:
            return outcomes
        try:
            self._client.batch_archive(self._stream, keys)
        except RecordError:
            results = one_by_one(self._archive, [{"id": key} for key in keys])
            outcomes.update((n, _outcome(one)) for n, one in zip(left, results, strict=True))
        else:
            outcomes.update((n, Outcome(key=one.key)) for n, one in left.items())
        return outcomes

    def _archive(self, row: Json) -> str:
        self._client.archive(self._stream, row["id"])
        return str(row["id"])

    # -- versions

    def _unexpected(self, writes: Updates | Deletes) -> Outcomes:
        """Returns outcomes for records that do not have the expected version."""
        # quirk(hubspot): there is no If-Match; reading right before writing leaves a gap of
        # milliseconds, and what changed in it is reported afterwards (`lock: told`).
        asked = {n: one for n, one in writes.items() if one.if_version is not None}
        if not asked:
            return {}
        found = self._reader.read([one.key for one in asked.values()], slim=True)
        outcomes: Outcomes = {}
        for n, one in asked.items():
            thing = found.get(one.key)
            if thing is None:
                outcomes[n] = Outcome(error=self._absent(one.key))
            elif not same_version(one.if_version or "", modified_text(thing, self._reader.names)):
                outcomes[n] = Outcome(error=self._stale(one.key))
        return outcomes

    def _absent(self, key: str) -> ConnectorError:
        if self._reader.names.merges:
            # It may have been merged: a fetch tells into which record.
            return self._stale(key)
        return RecordMissingError(
            f"HubSpot has no {self._stream} {key}", stream=self._stream, key=key
        )

    def _stale(self, key: str) -> ConnectorError:
        return RecordStaleError(
            f"{self._stream} {key} changed in HubSpot since it was read; read it again",
            stream=self._stream,
            key=key,
        )


def _outcome(result: str | ConnectorError) -> Outcome:
    return Outcome(key=result) if isinstance(result, str) else Outcome(error=result)


def _safely(act: Callable[[W], Outcomes], writes: W, *, raises: bool) -> Outcomes:
    """Runs a batch; `raises`: nothing was written before, so an error may fail the whole call."""
    try:
        return act(writes)
    except ConnectorError as error:
        if raises:
            raise
        return {n: Outcome(error=error) for n in writes}


def _batches(writes: Sequence[Write], kind: type[K]) -> Iterator[dict[int, K]]:
    """Yields the writes of one kind in chunks in which no record occurs twice."""
    # quirk(hubspot): a batch that names a record twice is refused as a whole.
    waiting = {n: one for n, one in enumerate(writes) if isinstance(one, kind)}
    while waiting:
        portion: dict[int, K] = {}
        names: set[str] = set()
        for n, one in waiting.items():
            name = one.external_id if isinstance(one, Create) else one.key
            if len(portion) < BATCH and name not in names:
                portion[n] = one
                names.add(name)
        waiting = {n: one for n, one in waiting.items() if n not in portion}
        yield portion
