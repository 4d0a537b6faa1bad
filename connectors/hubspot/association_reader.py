"""Reads what records are associated with, and the lines of deals. Never writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.hubspot.client import HubSpotClient, Json
from connectors.hubspot.results import next_after, objects_of, portions, refuse_other_errors
from connectors.hubspot.vocabulary import ASSOCIATION_BATCH, BATCH, LINES, PRIMARY_TYPES
from connectors.kit.errors import ContractError


class AssociationReader:
    """Reads the associations of one stream's records: record -> stream -> ids, primary first."""

    def __init__(
        self,
        client: HubSpotClient,
        stream: str,
        wanted: Sequence[str],
        *,
        line_properties: Sequence[str] = (),
    ) -> None:
        self._client = client
        self._stream = stream
        self._wanted = wanted
        self._line_properties = line_properties

    def included(self, things: Sequence[Json]) -> dict[str, dict[str, list[str]]]:
        """Returns the associations included in the objects; reads the rest where truncated."""
        linked: dict[str, dict[str, list[str]]] = {}
        cut: dict[str, list[str]] = {}
        for thing in things:
            mine = linked[thing["id"]] = {}
            for name, part in (thing.get("associations") or {}).items():
                # quirk(hubspot): asked for as `line_items`, answered as `line items`.
                to = name.replace(" ", "_")
                mine[to] = _primary_first(part.get("results") or [], to)
                if (part.get("paging") or {}).get("next"):
                    cut.setdefault(to, []).append(thing["id"])
        for to, ids in cut.items():
            for key, targets in self.targets(to, ids).items():
                linked[key][to] = targets
        return linked

    def read(self, ids: Sequence[str]) -> dict[str, dict[str, list[str]]]:
        """Returns the associations of some records."""
        linked: dict[str, dict[str, list[str]]] = {key: {} for key in ids}
        for to in self._wanted:
            for key, targets in self.targets(to, ids).items():
                linked[key][to] = targets
        return linked

    def targets(self, to: str, ids: Sequence[str]) -> dict[str, list[str]]:
        """Returns the ids that each record is associated with, the primary one first."""
        pair = (self._stream, to)
        found: dict[str, dict[str, bool]] = {}
        waiting: list[Json] = [{"id": key} for key in dict.fromkeys(ids)]
        while waiting:
            following = []
            for some in portions(waiting, ASSOCIATION_BATCH):
                body = self._client.associations(pair, some)
                refuse_other_errors(body, f"associations of {self._stream} with {to}")
                for row in body.get("results") or ():
                    key = str(row["from"]["id"])
                    mine = found.setdefault(key, {})
                    before = len(mine)
                    for target in row.get("to") or ():
                        one = str(target["toObjectId"])
                        mine[one] = mine.get(one, False) or _is_primary(target, pair)
                    after = next_after(row)
                    if after is not None:
                        _insist_on_progress(len(mine) > before, pair)
                        following.append({"id": key, "after": after})
            waiting = following
        return {key: sorted(mine, key=lambda one: not mine[one]) for key, mine in found.items()}

    def lines(self, linked: Mapping[str, Mapping[str, list[str]]]) -> dict[str, list[Json]]:
        """Returns the lines of each record, oldest first."""
        ids = [line for mine in linked.values() for line in mine.get(LINES, ())]
        found: dict[str, Json] = {}
        for some in portions(list(dict.fromkeys(ids)), BATCH):
            body = self._client.batch_read(LINES, some, properties=self._line_properties)
            refuse_other_errors(body, LINES)
            for thing in objects_of(body, LINES):
                properties = {name: thing["properties"].get(name) for name in self._line_properties}
                found[thing["id"]] = {"id": thing["id"], "properties": properties}
        return {
            key: [found[line] for line in sorted(mine.get(LINES, ()), key=_by_age) if line in found]
            for key, mine in linked.items()
        }


def _insist_on_progress(progress: bool, pair: tuple[str, str]) -> None:
    if not progress:
        raise ContractError(f"paging through associations {pair[0]} to {pair[1]} runs in circles")


def _primary_first(results: Sequence[Mapping[str, Any]], to: str) -> list[str]:
    # quirk(hubspot): a record comes once per association type; where a pair knows a primary one,
    # the bare type name (contact_to_company) marks it, others end in _unlabeled or are labels.
    primary: dict[str, bool] = {}
    for result in results:
        kind = str(result.get("type") or "")
        marks = to == "companies" and kind.endswith("_to_company")
        key = str(result["id"])
        primary[key] = primary.get(key, False) or marks
    return sorted(primary, key=lambda key: not primary[key])


def _is_primary(target: Mapping[str, Any], pair: tuple[str, str]) -> bool:
    wanted = PRIMARY_TYPES.get(pair)
    return any(
        kind.get("typeId") == wanted or kind.get("label") == "Primary"
        for kind in target.get("associationTypes") or ()
    )


def _by_age(key: str) -> tuple[int, str]:
    return len(key), key
