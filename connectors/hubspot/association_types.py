"""Which association type to write: the vendor's numbers, or what the account itself says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connectors.hubspot.client import HubSpotClient, Json
from connectors.hubspot.vocabulary import ASSOCIATION_TYPES, PRIMARY_TYPES, REPORTED_TYPES, STREAMS
from connectors.kit.contract import Finding
from connectors.kit.errors import ConnectorError, RecordRejectedError, UnavailableError

Pair = tuple[str, str]


class AssociationKinds:
    """The association types of one account; asks once for each uncertain pair."""

    def __init__(self, client: HubSpotClient) -> None:
        self._client = client
        self._live: dict[Pair, int] = {}

    def spec(self, pair: Pair, *, first: bool) -> list[Json]:
        """Returns the `types` of an association; the first one becomes the primary one.

        Raises: RecordRejectedError when the two have no association we know.
        """
        kind = PRIMARY_TYPES.get(pair) if first else None
        kind = kind or ASSOCIATION_TYPES.get(pair) or self._reported(pair)
        if kind is None:
            raise RecordRejectedError(
                f"{pair[0]} cannot be associated with {pair[1]}", stream=pair[0]
            )
        return [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": kind}]

    def _reported(self, pair: Pair) -> int | None:
        if pair not in REPORTED_TYPES:
            return None
        if pair not in self._live:
            self._live[pair] = self._asked(pair) or REPORTED_TYPES[pair]
        return self._live[pair]

    def _asked(self, pair: Pair) -> int | None:
        try:
            return plain_type(pair, self._client.association_labels(pair))
        except UnavailableError:
            raise
        except ConnectorError:
            return None  # no scope for it, or no such endpoint: use the reported types

    def check(self, stream: str) -> Iterator[Finding]:
        """Yields the uncertain pairs of a stream for which the account has no plain type."""
        for to in STREAMS[stream].associations:
            pair = (stream, to)
            if pair in REPORTED_TYPES and self._asked(pair) is None:
                yield Finding(
                    "warning",
                    f"HubSpot does not say how it associates {stream} with {to}",
                    f"type {REPORTED_TYPES[pair]} will be written, as others report it",
                )


def plain_type(pair: Pair, rows: Sequence[Json]) -> int | None:
    """Returns the type of the plain association among all of a pair; None when it is not clear.

    >>> rows = [{"category": "HUBSPOT_DEFINED", "typeId": 509, "label": None}]
    >>> plain_type(("orders", "companies"), rows), plain_type(("orders", "companies"), [])
    (509, None)
    """
    found = [
        int(row["typeId"])
        for row in rows
        if row.get("category") == "HUBSPOT_DEFINED" and not row.get("label")
    ]
    known = REPORTED_TYPES.get(pair)
    if known in found:
        return known
    return found[0] if len(found) == 1 else None
