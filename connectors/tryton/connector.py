"""Tryton in terms of the connector contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import httpx

from connectors.kit.budget import Budget
from connectors.kit.contract import (
    FieldNeed,
    Finding,
    Notification,
    Outcome,
    Page,
    Record,
    Request,
    StreamSchema,
    Write,
)
from connectors.kit.errors import ContractError
from connectors.tryton.client import Account, TrytonClient
from connectors.tryton.describing import describe
from connectors.tryton.reading import PAGE, Reader
from connectors.tryton.stream_models import STREAMS, Stream
from connectors.tryton.writer import Writer

#: Release series that the connector is tested with.
TRIED = ("8.2",)


class TrytonConnector:
    """An open connection to one Tryton database; thread-safe."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        budget: Budget,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        company = settings.get("company")
        account = Account(
            url=str(settings["url"]),
            database=str(settings["database"]),
            login=str(settings["login"]),
            password=str(settings["password"]),
            company=str(company) if company else None,
            skip_warnings=bool(settings.get("skip_warnings", True)),
            serial_writes=bool(settings.get("serial_writes", False)),
        )
        self._client = TrytonClient(account, budget, transport=transport)
        overlap = timedelta(seconds=float(settings.get("overlap_seconds", 120)))
        page = int(settings.get("page_size", PAGE))
        self._reader = Reader(self._client, overlap=overlap, page=page)
        self._writer = Writer(
            self._client, self._reader, payment_term=settings.get("payment_term") or None
        )

    def check(self) -> Sequence[Finding]:
        """Proves that login and rights are sufficient, without writing."""
        series = self._client.series()
        context = self._client.context()
        findings = [Finding("ok", f"Tryton {series}: logged in")]
        if series not in TRIED:
            findings.append(
                Finding("warning", f"Tryton {series} is untried; tried: {', '.join(TRIED)}")
            )
        if not context.get("company"):
            findings.append(
                Finding(
                    "error",
                    "the user works in no company",
                    "set the user's company in Tryton, or the setting `company`",
                )
            )
        return [*findings, *(self._access(stream) for stream in STREAMS.values())]

    def _access(self, stream: Stream) -> Finding:
        """Reports whether the user may read everything a stream consists of, and write it."""
        models = stream.models()
        try:
            found: dict[str, dict[str, bool]] = self._client.call(
                "model.ir.model.access.get_access", models, repeatable=True
            )
        except ContractError as error:
            return Finding(
                "error",
                f"{stream.model}: {error}",
                "activate the module that has it, or leave the stream out",
            )
        unread = [model for model in models if not found[model]["read"]]
        if unread:
            return Finding(
                "error",
                f"{stream.model}: no right to read {', '.join(unread)}",
                "add the user to a group that has it, or leave the stream out",
            )
        wanted = {"create": stream.create, "write": stream.update}
        missing = [right for right, can in wanted.items() if can and not found[stream.model][right]]
        if missing:
            return Finding(
                "warning",
                f"{stream.model}: no right to {' or '.join(missing)}",
                "add the user to a group that has it, if the hub is to write there",
            )
        return Finding("ok", f"{stream.model}: rights suffice")

    def _stream(self, name: str) -> Stream:
        stream = STREAMS.get(name)
        if stream is None:
            raise ContractError(f"Tryton has no stream {name!r}; there are {', '.join(STREAMS)}")
        return stream.of(self._client.series()) if stream.before else stream

    def describe(self, stream: str) -> StreamSchema:
        """Returns the live fields of a stream, those of its lists as `addresses.city`."""
        return describe(self._client, self._stream(stream))

    def prepare(self, needs: Sequence[FieldNeed]) -> Sequence[Finding]:
        """Creates nothing: Tryton's fields come from its modules."""
        return []

    def pages(self, stream: str, since: str | None) -> Iterator[Page]:
        """Yields what changed since the cursor, everything when it is None."""
        return self._reader.pages(self._stream(stream), since)

    def fetch(self, stream: str, keys: Sequence[str]) -> Page:
        """Reads the current state of some keys."""
        return self._reader.fetch(self._stream(stream), keys)

    def keys(self, stream: str) -> Iterator[Sequence[str]]:
        """Yields all keys in chunks."""
        return self._reader.keys(self._stream(stream))

    def find(self, stream: str, external_ids: Sequence[str]) -> Mapping[str, Record]:
        """Returns the records that earlier creates with these hub ids have made."""
        return self._reader.find(self._stream(stream), external_ids)

    def write(self, stream: str, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Writes them, one outcome each in the same order."""
        return self._writer.write(self._stream(stream), writes)

    def verify(self, request: Request) -> bool:
        """Returns False: Tryton sends no webhooks."""
        return False

    def notifications(self, body: bytes) -> Sequence[Notification]:
        """Raises: Tryton sends no webhooks."""
        raise ContractError("Tryton sends no webhooks; this delivery is not from it")

    def close(self) -> None:
        """Closes the connection. Idempotent."""
        self._client.close()
