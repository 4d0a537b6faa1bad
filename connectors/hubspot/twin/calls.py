"""One HTTP call as the routes see it, and the answer they give; JSON in and out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from connectors.hubspot.twin.account import Account
from connectors.hubspot.twin.body_checks import check_shape
from connectors.hubspot.twin.error_bodies import invalid, lacking
from connectors.hubspot.twin.properties_schema import Kind
from connectors.hubspot.twin.property_values import iso

#: Maximum number of inputs of a batch call.
BATCH = 100
#: Digits of the longest number that is taken for an id or a cursor.
LONGEST = 18


@dataclass(frozen=True, slots=True)
class Call:
    """A request with its path, query and body."""

    account: Account
    method: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes

    @property
    def kind(self) -> Kind:
        """Returns the object type in the path. Raises: Refusal (404)."""
        return self.account.catalogue[self.params["type"]]

    def json(self) -> dict[str, Any]:
        """Returns the body as a JSON object. Raises: Refusal (400)."""
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise invalid("Invalid input JSON on line 1, column 1: not valid JSON") from error
        if not isinstance(body, dict):
            raise invalid("Invalid input JSON on line 1, column 1: an object is expected")
        check_shape(body)
        return body

    def json_list(self) -> list[Any]:
        """Returns the body as a JSON list. Raises: Refusal (400)."""
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise invalid("Invalid input JSON on line 1, column 1: not valid JSON") from error
        if not isinstance(body, list):
            raise invalid("Invalid input JSON on line 1, column 1: a list is expected")
        check_shape({"types": body})
        return body

    def inputs(self, most: int = BATCH) -> list[dict[str, Any]]:
        """Returns the inputs of a batch call. Raises: Refusal (400)."""
        inputs = self.json().get("inputs")
        if not isinstance(inputs, list) or not all(isinstance(row, dict) for row in inputs):
            raise lacking("inputs")
        if len(inputs) > most:
            raise invalid(f"Too many inputs: {len(inputs)}. At most {most} are allowed in a batch")
        return inputs

    def names(self, key: str) -> list[str]:
        """Returns a comma-separated query parameter as a list, however often it was given."""
        return [name for name in self.query.get(key, "").split(",") if name]

    def flag(self, key: str) -> bool:
        """Returns a boolean query parameter."""
        return self.query.get(key, "").lower() == "true"

    def limit(self, default: int, most: int) -> int:
        """Returns the page size. Raises: Refusal (400)."""
        text = self.query.get("limit", str(default))
        if not 0 < whole_number(text) <= most:
            raise invalid(f"The limit must be between 1 and {most}, not {text}")
        return int(text)


@dataclass(frozen=True, slots=True)
class Reply:
    """A status and a JSON body; None: an empty one."""

    status: int
    body: Any = None


def batch_reply(
    call: Call, results: list[Any], errors: list[dict[str, Any]], *, good: int = 200
) -> Reply:
    """Returns the answer of a batch call: 207 when some of it failed."""
    now = iso(call.account.clock.ms())
    body: dict[str, Any] = {
        "status": "COMPLETE",
        "results": results,
        "requestedAt": now,
        "startedAt": now,
        "completedAt": now,
    }
    if errors:
        body |= {"numErrors": len(errors), "errors": errors}
    return Reply(207 if errors else good, body)


def whole_number(text: str) -> int:
    """Returns a number given as text. Raises: Refusal (400)."""
    if not text.isdecimal() or len(text) > LONGEST:
        raise invalid(f"{text} is not a valid number")
    return int(text)


def part_field(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Returns a required object inside an input. Raises: Refusal (400)."""
    part = row.get(name)
    if not isinstance(part, dict):
        raise lacking(name)
    return part


def text_field(row: Mapping[str, Any], name: str) -> str:
    """Returns a required text of an input. Raises: Refusal (400)."""
    value = row.get(name)
    if value is None or isinstance(value, dict | list):
        raise lacking(name)
    return str(value)
