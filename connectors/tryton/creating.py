"""Creates records: what Tryton has under a hub id already is not created again."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.kit.contract import Create, Outcome
from connectors.kit.errors import RecordError, RecordRejectedError
from connectors.tryton.batches import Batch, Job
from connectors.tryton.client import TrytonClient
from connectors.tryton.ordering import Clerk
from connectors.tryton.people import new_phones
from connectors.tryton.phones import Phones
from connectors.tryton.reading import Reader
from connectors.tryton.stream_models import Stream
from connectors.tryton.wire_values import MARK, marked
from connectors.tryton.write_values import Translator, Values, added

SALE = "sale.sale"
CONTACT = "party.contact_mechanism"


class Creator:
    """Writes the creates of a batch."""

    def __init__(
        self, client: TrytonClient, reader: Reader, translator: Translator, *, phones: Phones
    ) -> None:
        self._client = client
        self._reader = reader
        self._translator = translator
        self._phones = phones

    def write(self, stream: Stream, writes: Sequence[tuple[int, Create]], batch: Batch) -> None:
        """Creates all that does not exist yet, in one call where the server allows it."""
        # Tryton does not keep hub ids unique: look first, so that twice makes one record
        known = (
            {}
            if batch.broken
            else self._reader.find(stream, [each.external_id for _, each in writes])
        )
        jobs: list[Job] = []
        for index, write in writes:
            if (found := known.get(write.external_id)) is not None:
                batch.outcomes[index] = Outcome(key=found.key)
                continue
            try:
                values = self._creation(stream, write, batch.clerk)
            except RecordError as error:
                batch.outcomes[index] = Outcome(error=error)
            else:
                along = new_phones(values, write.external_id) if stream.people else []
                jobs.append(Job(index, stream.model, values, along=along))
        batch.send(jobs, self._send)

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

    def _send(self, jobs: Sequence[Job]) -> list[str]:
        model = jobs[0].model
        rows = [row for job in jobs for row in (job.values, *job.along)]
        found = iter(self._client.call(f"model.{model}.create", rows, stream=model))
        keys = [[str(next(found)) for _ in (job, *job.along)] for job in jobs]
        return [own for own, *_along in keys]
