"""Writes what belongs to a record: its associations, and the line items of a deal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.hubspot.association_types import AssociationKinds
from connectors.hubspot.batches import one_by_one, run_batch, texts
from connectors.hubspot.client import HubSpotClient, Json
from connectors.hubspot.records import RecordReader
from connectors.hubspot.results import portions
from connectors.hubspot.vocabulary import BATCH, LINES, SINGLE
from connectors.kit.errors import ConnectorError, RecordError, RecordRejectedError

Errors = dict[str, ConnectorError]


def association_inputs(
    kinds: AssociationKinds, stream: str, associations: Mapping[str, Any]
) -> list[Json]:
    """Returns the `associations` of a new record. Raises: RecordRejectedError."""
    return [
        {"to": {"id": key}, "types": kinds.spec((stream, to), first=n == 0)}
        for to, keys in associations.items()
        for n, key in enumerate(_keys(keys))
    ]


def _keys(keys: Any) -> list[str]:
    return [str(key) for key in keys or () if key]


class LinkWriter:
    """Writes the associations and lines of the records of one stream."""

    def __init__(
        self, client: HubSpotClient, reader: RecordReader, kinds: AssociationKinds
    ) -> None:
        self._client = client
        self._reader = reader
        self._kinds = kinds
        self._stream = reader.names.name

    # -- associations

    def associate(self, wanted: Mapping[str, Mapping[str, Any]]) -> Errors:
        """Ensures associations, given as key -> stream -> keys; returns what failed by key.

        The first key becomes the primary one; of a single kind the others are removed; an empty
        list removes all.
        """
        errors: Errors = {}
        for to in dict.fromkeys(to for links in wanted.values() for to in links):
            links = {key: _keys(mine[to]) for key, mine in wanted.items() if to in mine}
            try:
                self._associate_all(to, links)
            except RecordError:
                for key, keys in links.items():
                    errors.update(self._associate_one(to, key, keys))
        return errors

    def _associate_one(self, to: str, key: str, keys: list[str]) -> Errors:
        try:
            self._associate_all(to, {key: keys})
        except RecordError as error:
            return {
                key: RecordRejectedError(
                    f"HubSpot refused to associate {self._stream} {key} with {to}:"
                    f" do they exist? ({error})",
                    stream=self._stream,
                    key=key,
                )
            }
        return {}

    def _associate_all(self, to: str, links: Mapping[str, list[str]]) -> None:
        pair = (self._stream, to)
        inputs = [
            {
                "from": {"id": key},
                "to": {"id": one},
                "types": self._kinds.spec(pair, first=n == 0),
            }
            for key, keys in links.items()
            for n, one in enumerate(keys)
        ]
        for some in portions(inputs, BATCH):
            self._insist(self._client.associate(pair, some), to)
        self._remove_others(pair, links)

    def _insist(self, body: Json, to: str) -> None:
        if body.get("errors"):
            raise RecordRejectedError(
                f"HubSpot refused associations of {self._stream} with {to}", stream=self._stream
            )

    def _remove_others(self, pair: tuple[str, str], links: Mapping[str, list[str]]) -> None:
        narrow = {key: keys for key, keys in links.items() if pair in SINGLE or not keys}
        if not narrow:
            return
        present = self._reader.associations.targets(pair[1], list(narrow))
        inputs = []
        for key, keys in narrow.items():
            others = [{"id": one} for one in present.get(key, ()) if one not in keys]
            if others:
                inputs.append({"from": {"id": key}, "to": others})
        for some in portions(inputs, BATCH):
            self._client.dissociate(pair, some)

    # -- lines

    def lines(self, wanted: Mapping[str, Sequence[Json]]) -> Errors:
        """Writes line items, given as key of the deal -> items; returns what failed by key.

        An item without id is created, with `remove` removed, else changed.
        """
        items = [(key, item) for key, some in wanted.items() for item in some]
        new = [(key, item) for key, item in items if not item.get("id")]
        old = [(key, item) for key, item in items if item.get("id")]
        errors = self._add([one for one in new if not one[1].get("remove")])
        errors.update(self._change([one for one in old if not one[1].get("remove")]))
        errors.update(self._drop([one for one in old if one[1].get("remove")]))
        return errors

    def _add(self, items: Sequence[tuple[str, Json]]) -> Errors:
        errors: Errors = {}
        for some in portions(items, BATCH):
            # quirk(hubspot): a line belongs to one deal and is orphaned when created without it.
            inputs = [
                {
                    "properties": texts(item.get("properties") or {}),
                    "associations": association_inputs(self._kinds, LINES, {self._stream: [key]}),
                }
                for key, item in some
            ]
            results = run_batch(
                LINES, inputs, together=self._client.batch_create, single=self._client.create
            )
            errors.update(_failed(some, results))
        return errors

    def _change(self, items: Sequence[tuple[str, Json]]) -> Errors:
        errors: Errors = {}
        for some in portions(items, BATCH):
            inputs = [
                {"id": str(item["id"]), "properties": texts(item.get("properties") or {})}
                for _, item in some
            ]
            results = run_batch(
                LINES, inputs, together=self._client.batch_update, single=self._client.update_row
            )
            errors.update(_failed(some, results))
        return errors

    def _drop(self, items: Sequence[tuple[str, Json]]) -> Errors:
        def archive(row: Json) -> str:
            self._client.archive(LINES, row["id"])
            return str(row["id"])

        rows = [{"id": str(item["id"])} for _, item in items]
        return _failed(items, one_by_one(archive, rows))


def _failed(items: Sequence[tuple[str, Json]], results: Sequence[str | ConnectorError]) -> Errors:
    return {
        key: result
        for (key, _), result in zip(items, results, strict=True)
        if isinstance(result, ConnectorError)
    }
