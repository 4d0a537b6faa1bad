"""Changes and archives records; refuses what changed since it was read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connectors.kit.contract import Delete, Outcome, Update
from connectors.kit.errors import RecordError, RecordRejectedError
from connectors.tryton.batches import Batch, Job, current_row, stamps_of
from connectors.tryton.client import Row, TrytonClient
from connectors.tryton.ordering import Clerk
from connectors.tryton.people import change, leave
from connectors.tryton.phones import Phones
from connectors.tryton.reading import Reader
from connectors.tryton.stream_models import Stream
from connectors.tryton.wire_values import marked, unmarked
from connectors.tryton.write_values import Translator, Values, added

PRODUCT = "product.product"
SALE = "sale.sale"


class Changer:
    """Writes the updates and deletes of a batch."""

    def __init__(
        self, client: TrytonClient, reader: Reader, translator: Translator, *, phones: Phones
    ) -> None:
        self._client = client
        self._reader = reader
        self._translator = translator
        self._phones = phones

    def write(
        self, stream: Stream, writes: Sequence[tuple[int, Update | Delete]], batch: Batch
    ) -> None:
        """Changes all, in one call for each model where the server allows it."""
        if batch.broken:
            batch.give_up(writes)
            return
        rows = self._reader.rows(stream, [write.key for _, write in writes])
        jobs: list[Job] = []
        for index, write in writes:
            try:
                row = current_row(stream, write, rows)
                jobs.append(self._job(stream, write, row, index=index, clerk=batch.clerk))
            except RecordError as error:
                batch.outcomes[index] = Outcome(error=error)
        empty = [job for job in jobs if not job.values]
        batch.outcomes.update({job.index: Outcome(key=job.key) for job in empty})
        for model in dict.fromkeys(job.model for job in jobs):
            some = [job for job in jobs if job.values and job.model == model]
            batch.send(some, self._send)

    def _job(
        self, stream: Stream, write: Update | Delete, row: Row, *, index: int, clerk: Clerk
    ) -> Job:
        if not (stream.archive if isinstance(write, Delete) else stream.update):
            raise RecordRejectedError(
                f"{stream.model} {write.key} cannot be changed from outside",
                stream=stream.model,
                key=write.key,
            )
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
        return Job(index, model, values, write.key, target, stamps_of(write), besides=besides)

    def _sale_change(self, values: Values, row: Row, clerk: Clerk) -> Values:
        once = unmarked(row.get("reference"))[1]
        if "reference" in values and once:
            values["reference"] = marked(values["reference"], once)
        if added(values.get("lines", ())):
            parent = {**clerk.parent_of(row), **values}
            values["lines"] = clerk.complete_lines(values["lines"], parent)
        return values

    def _send(self, jobs: Sequence[Job]) -> list[str]:
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
