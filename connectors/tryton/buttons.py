"""Presses buttons: the moves of a document's state, of many records in one call."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from itertools import groupby

from connectors.kit.contract import Action, Outcome
from connectors.kit.errors import ConnectorError, RecordError, RecordRejectedError
from connectors.tryton.batches import Batch, Job, current_row, stamps_of
from connectors.tryton.client import TrytonClient
from connectors.tryton.reading import Reader
from connectors.tryton.stream_models import STREAMS, Stream

#: Records whose button is pressed in one call, which must end well before the time-out.
_TOGETHER = 10


class Buttons:
    """Writes the actions of a batch."""

    def __init__(self, client: TrytonClient, reader: Reader) -> None:
        self._client = client
        self._reader = reader

    def write(self, stream: Stream, writes: Sequence[tuple[int, Action]], batch: Batch) -> None:
        """Presses the buttons, of many records at a time where neighbours want the same one."""
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
                batch.send(jobs[start : start + _TOGETHER], press)

    def _presses(self, stream: Stream, writes: list[tuple[int, Action]], batch: Batch) -> list[Job]:
        """Returns what is still to be pressed; the others get their outcomes."""
        if batch.broken:
            batch.give_up(writes)
            return []
        rows = self._reader.rows(stream, [write.key for _, write in writes])
        jobs: list[Job] = []
        for index, write in writes:
            try:
                states = _states(stream, write)
                row = current_row(stream, write, rows)
            except RecordError as error:
                batch.outcomes[index] = Outcome(error=error)
                continue
            if row.get("state") in states:
                batch.outcomes[index] = Outcome(key=write.key)
                continue
            jobs.append(Job(index, stream.model, {}, write.key, int(write.key), stamps_of(write)))
        return jobs

    def _press(self, action: str, jobs: Sequence[Job]) -> list[str]:
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

    def _insist(self, action: str, jobs: Sequence[Job]) -> None:
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


def _states(stream: Stream, write: Action) -> Collection[str]:
    """Returns the states in which nothing is left to press. Raises: RecordRejectedError."""
    if write.transition not in stream.actions:
        raise RecordRejectedError(
            f"{stream.model} knows no action {write.transition!r}",
            stream=stream.model,
            key=write.key,
        )
    return stream.actions[write.transition]
