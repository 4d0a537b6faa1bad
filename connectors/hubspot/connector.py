"""The connector contract in terms of HubSpot's client."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from connectors.hubspot import fields, webhooks
from connectors.hubspot.association_types import AssociationKinds
from connectors.hubspot.client import HubSpotClient, auth_of
from connectors.hubspot.errors import read_limits
from connectors.hubspot.increments import StreamReader
from connectors.hubspot.records import RecordReader
from connectors.hubspot.results import next_after, objects_of
from connectors.hubspot.vocabulary import ONCE, SEARCH_LANE, SEARCH_LIMIT, STREAMS, stream_names
from connectors.hubspot.writing import RecordWriter
from connectors.kit.auth import TokenStore
from connectors.kit.budget import Allowance, Budget
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
from connectors.kit.errors import CredentialsError
from connectors.kit.manifest import read_manifest
from connectors.kit.paging import by_cursor


@cache
def _defaults() -> Mapping[str, Any]:
    manifest = read_manifest(Path(__file__).with_name("manifest.yaml"))
    return {name: facts.default for name, facts in manifest.settings.items()}


def _now() -> datetime:
    return datetime.now(UTC)


class HubSpotConnector:
    """An open connection to one HubSpot account.

    `fields` names what the mappings use of each stream, such as `properties.industry`; what is
    named there is read besides the connector's own properties.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        budget: Budget,
        *,
        fields: Mapping[str, Sequence[str]] | None = None,
        tokens: TokenStore | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._settings = {**_defaults(), **settings}
        self._fields = fields or {}
        budget.lane(SEARCH_LANE, *SEARCH_LIMIT)
        budget.learn(Allowance(requests=int(self._settings["requests_per_10s"]), per_seconds=10.0))
        budget.read_limits_with(read_limits)
        self._client = HubSpotClient(
            str(self._settings["base_url"]),
            str(self._settings["api_version"]),
            auth=auth_of(self._settings, tokens),
            budget=budget,
            transport=transport,
            clock=clock,
        )
        self._readers: dict[str, RecordReader] = {}
        self._kinds = AssociationKinds(self._client)

    def _reader(self, stream: str) -> RecordReader:
        if stream not in self._readers:
            wanted = self._fields.get(stream, ())
            self._readers[stream] = RecordReader(self._client, stream_names(stream), wanted)
        return self._readers[stream]

    def _seconds(self, setting: str) -> timedelta:
        return timedelta(seconds=float(self._settings[setting]))

    def check(self) -> Sequence[Finding]:
        """Proves the token, and tries every stream once for its read scope."""
        account = self._client.account()
        kind = str(account.get("accountType") or "unknown").lower().replace("_", " ")
        findings = [Finding("ok", f"HubSpot account {account.get('portalId')} ({kind}) answers")]
        for stream in STREAMS:
            findings += self._check_stream(stream)
        if not self._settings.get("webhook_secret"):
            findings.append(
                Finding(
                    "warning",
                    "HubSpot: no webhook_secret, deliveries are refused",
                    "set it to the app's client secret, or leave webhooks off",
                )
            )
        return findings

    def _check_stream(self, stream: str) -> Iterator[Finding]:
        try:
            self._client.list_page(stream, limit=1)
            ready = self._client.has_property(stream, ONCE)
            yield from self._kinds.check(stream)
        except CredentialsError as error:
            # A connection may do without some streams, so this is a finding and not the end.
            yield Finding("error", str(error), f"add the scope, or leave {stream} out")
            return
        if not ready:
            yield Finding(
                "warning",
                f"HubSpot: {stream} has no property {ONCE} yet",
                "`tulay check --prepare` creates it, or Tulay before its first write",
            )

    def describe(self, stream: str) -> StreamSchema:
        """Returns the live fields of a stream."""
        return fields.describe(self._client, stream_names(stream))

    def prepare(self, needs: Sequence[FieldNeed]) -> Sequence[Finding]:
        """Creates the missing ones of the wanted properties; idempotent."""
        return fields.prepare(self._client, needs)

    def pages(self, stream: str, since: str | None) -> Iterator[Page]:
        """Yields what changed since the cursor; everything when it is None."""
        return StreamReader(
            self._client,
            self._reader(stream),
            lag=self._seconds("search_lag_seconds"),
            overlap=self._seconds("overlap_seconds"),
            deletions_every=self._seconds("deletions_every_seconds"),
            looks_every=self._seconds("associations_every_seconds"),
        ).pages(since)

    def fetch(self, stream: str, keys: Sequence[str]) -> Page:
        """Reads the current state of some keys by the consistent batch read, never by search."""
        return self._reader(stream).fetch(keys)

    def keys(self, stream: str) -> Iterator[Sequence[str]]:
        """Yields all keys, in chunks of 100."""
        name = stream_names(stream).name
        for body, _ in by_cursor(lambda after: self._ids(name, after)):
            yield [thing["id"] for thing in body]

    def _ids(self, stream: str, after: str | None) -> tuple[list[dict[str, Any]], str | None]:
        body = self._client.list_page(stream, after=after, properties=("hs_object_id",))
        return objects_of(body, stream), next_after(body)

    def find(self, stream: str, external_ids: Sequence[str]) -> Mapping[str, Record]:
        """Returns the records that carry these hub ids; none before `prepare`."""
        reader = self._reader(stream)
        found = list(reader.find(external_ids).values())
        return {
            record.external_id: record for record in reader.records(found) if record.external_id
        }

    def write(self, stream: str, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Writes them, one outcome each in the same order."""
        return RecordWriter(self._client, self._reader(stream), self._kinds).write(writes)

    def verify(self, request: Request) -> bool:
        """Returns True if the delivery is genuine and recent; False without webhook_secret."""
        return webhooks.verify(
            request,
            str(self._settings.get("webhook_secret") or ""),
            old_versions=bool(self._settings["webhook_old_signatures"]),
        )

    def notifications(self, body: bytes) -> Sequence[Notification]:
        """Reads a verified delivery."""
        return webhooks.notifications(body)

    def close(self) -> None:
        """Closes the connection. Idempotent."""
        self._client.close()
