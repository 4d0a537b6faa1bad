"""Turns payloads and patches into what Tryton's `create` and `write` take.

Looks ids up by code (and remembers them); refuses what cannot be written, by field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from connectors.kit.contract import Payload
from connectors.kit.errors import RecordRejectedError
from connectors.tryton.client import Row, TrytonClient
from connectors.tryton.regions import Regions
from connectors.tryton.stream_models import Many, One, Part, Plain, Stream, items_at
from connectors.tryton.wire_values import to_wire

#: The fields by which a referenced row is found, best first.
NAMES = ("code", "number", "name")

Values = dict[str, Any]


def refusal(model: str, name: str, why: str) -> RecordRejectedError:
    """Returns the error for a field of a patch that cannot be written."""
    return RecordRejectedError(f"{name}: {why}", stream=model, fields={name: why})


class Translator:
    """Turns patches into values, by the live fields of the models."""

    def __init__(self, client: TrytonClient) -> None:
        self._client = client
        self._fields: dict[str, dict[str, Row]] = {}
        self._ids: dict[tuple[str, str, str], int] = {}
        self._regions = Regions(client)

    def fields(self, model: str) -> dict[str, Row]:
        """Returns the live fields of a model."""
        if model not in self._fields:
            self._fields[model] = self._client.fields(model)
        return self._fields[model]

    def values(self, stream: Stream, payload: Payload, current: Row | None) -> Values:
        """Returns values for the stream's model; `current` is the row to change.

        Values for the parent of a product have names that begin with `template.`.
        Raises: RecordRejectedError.
        """
        values: Values = {}
        for name, value in payload.items():
            if name != "id":
                part = stream.parts.get(name, Plain(write=name))
                values |= self._part(stream.model, name, part, value, current)
        return values

    def _part(self, model: str, name: str, part: Part, value: Any, current: Row | None) -> Values:
        match part:
            case Plain(write=target) if target:
                return {target: self._scalar(model, target, value)}
            case One(write=True):
                return {name: self._reference(model, name, value)}
            case Many():
                return {name: self._commands(name, part, value, current)}
        raise refusal(model, name, "Tryton computes it; it cannot be written")

    def _scalar(self, model: str, target: str, value: Any) -> Any:
        where = "product.template" if target.startswith("template.") else model
        facts = self.fields(where).get(target.removeprefix("template."))
        if facts is None:
            raise refusal(model, target, f"{where} has no such field")
        if isinstance(value, dict | list):
            raise refusal(model, target, "takes a single value")
        try:
            return to_wire(value, facts["type"])
        except ValueError as error:
            raise refusal(model, target, f"takes a value of type {facts['type']}") from error

    def _reference(self, model: str, name: str, value: Any) -> int | None:
        if value is None:
            return None
        facts = self.fields(model).get(name)
        if facts is None or not isinstance(value, Mapping):
            raise refusal(model, name, 'takes a reference such as {"id": "5"}')
        if key := value.get("id"):
            return self._id(model, name, str(key))
        found = next(((by, str(value[by])) for by in NAMES if value.get(by)), None)
        if found is None:
            return None
        return self._look_up(str(facts["relation"]), found, about=(model, name))

    @staticmethod
    def _id(model: str, name: str, key: str) -> int:
        if not key.isdecimal():
            raise refusal(model, name, "takes the id of a record, which is a number")
        return int(key)

    def _look_up(self, relation: str, found: tuple[str, str], *, about: tuple[str, str]) -> int:
        place = (relation, *found)
        if place not in self._ids:
            ids = self._client.search(relation, [[found[0], "=", found[1]]], limit=1)
            if not ids:
                what = relation.rpartition(".")[2].replace("_", " ")
                raise refusal(
                    *about, f"Tryton has no {what} with this {found[0]}: add it there, or change it"
                )
            self._ids[place] = ids[0]
        return self._ids[place]

    def _commands(self, name: str, part: Many, value: Any, current: Row | None) -> list[Any]:
        if not isinstance(value, list):
            raise refusal(part.model, name, "takes a list of items")
        known = {str(item["id"]): item for item in items_at(current or {}, name)}
        commands: list[Any] = []
        fresh: list[Values] = []
        for item in value:
            key = item.get("id")
            if key is None:
                fresh.append(self.item(part, item))
            elif str(key) not in known:
                raise refusal(part.model, name, f"has no item {key} any more; read it again")
            else:
                commands.append(self._change(part, known[str(key)], item))
        return [*commands, ["create", fresh]] if fresh else commands

    def _change(self, part: Many, row: Row, item: Mapping[str, Any]) -> list[Any]:
        key = int(row["id"])
        if not item.get("remove"):
            return ["write", [key], self.item(part, item, row)]
        return ["write", [key], {"active": False}] if part.archive else ["delete", [key]]

    def item(self, part: Many, item: Mapping[str, Any], current: Row | None = None) -> Values:
        """Returns values for one item of a list; `current` is the row to change."""
        values: Values = {}
        regional = {n: one.within for n, one in part.parts.items() if _is_regional(one)}
        for name, value in item.items():
            if name not in ("id", "remove", *regional):
                inner = part.parts.get(name, Plain(write=name))
                values |= self._part(part.model, name, inner, value, None)
        for name, place in regional.items():
            country = _key_at(current, place)
            moved = place in values and values[place] != country
            value = item[name] if name in item else (current or {}).get(f"{name}.")
            if name in item or (moved and value):
                values[name] = self._region(part.model, name, values.get(place, country), value)
        return values

    def _region(self, model: str, name: str, country: int | None, value: Any) -> int | None:
        """Returns the region of a country; None for one that the server does not know."""
        if value is not None and not isinstance(value, Mapping):
            raise refusal(model, name, 'takes a reference such as {"name": "Bayern"}')
        given = value or {}
        texts = [str(given[by]) for by in ("code", "name") if given.get(by)]
        found = (self._regions.find(country, text) for text in texts)
        return next((key for key in found if key is not None), None)


def _is_regional(part: Part) -> TypeGuard[One]:
    return isinstance(part, One) and bool(part.within)


def _key_at(row: Row | None, name: str) -> int | None:
    found = (row or {}).get(f"{name}.")
    return int(found["id"]) if found else None


def added(commands: Sequence[Any]) -> list[Values]:
    """Returns the values of the items that commands create.

    >>> added([["write", [1], {}], ["create", [{"a": 1}]]])
    [{'a': 1}]
    """
    return [values for command in commands if command[0] == "create" for values in command[1]]
