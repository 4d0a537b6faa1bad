"""One batch call whose rows succeed or fail individually.

Results are matched by `objectWriteTraceId`, never by their order. A batch that HubSpot refuses as a
whole is split into single calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connectors.hubspot.client import Json
from connectors.hubspot.errors import refusal
from connectors.hubspot.vocabulary import ONCE
from connectors.kit.errors import (
    ConnectorError,
    ContractError,
    CredentialsError,
    RateLimitedError,
    RecordError,
    UnavailableError,
)

#: The outcome of a row: the id of the written object, or why it was not written.
Result = str | ConnectorError


def texts(properties: Mapping[str, Any]) -> dict[str, str]:
    """Returns property values as HubSpot expects them: text, blank clears.

    >>> texts({"name": "ACME", "amount": 3, "open": True, "phone": None})
    {'name': 'ACME', 'amount': '3', 'open': 'true', 'phone': ''}
    """
    return {name: _text(value) for name, value in properties.items()}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def run_batch(
    stream: str,
    inputs: Sequence[Json],
    *,
    together: Callable[[str, Sequence[Json]], Json],
    single: Callable[[str, Json], Json],
) -> list[Result]:
    """Sends inputs in one call, or one by one when the batch is refused; one result per input.

    Raises: UnavailableError when every outcome is unknown, RateLimitedError when none was executed.
    """
    if not inputs:
        return []
    traced = [{**one, "objectWriteTraceId": f"row-{n}"} for n, one in enumerate(inputs)]
    try:
        body = together(stream, traced)
    except RecordError:
        return one_by_one(lambda one: str(single(stream, one)["id"]), inputs)
    return _matched(stream, traced, body)


def one_by_one(call: Callable[[Json], str], inputs: Sequence[Json]) -> list[Result]:
    """Makes one call per input; stops calling when the system no longer answers."""
    results: list[Result] = []
    stop: ConnectorError | None = None
    for one in inputs:
        if stop is not None:
            results.append(_untried(stop))
            continue
        try:
            results.append(call(one))
        except ConnectorError as error:
            results.append(error)
            if isinstance(error, UnavailableError | CredentialsError):
                stop = error
    return results


def _untried(stop: ConnectorError) -> ConnectorError:
    if isinstance(stop, CredentialsError):
        return stop
    wait = stop.retry_after if isinstance(stop, RateLimitedError) else None
    return RateLimitedError("HubSpot stopped answering, this was not tried", retry_after=wait)


def _matched(stream: str, inputs: Sequence[Json], body: Json) -> list[Result]:
    results, errors = body.get("results"), body.get("errors") or []
    if not isinstance(results, list):
        raise ContractError(f"a batch of {stream} was answered without results")
    rows = _rows(inputs)
    found: dict[int, Result] = {}
    for thing in results:
        for row in {rows[mark] for mark in _marks_of_result(thing) if mark in rows}:
            found[row] = str(thing["id"])
    nameless = []
    for error in errors:
        named = {rows[mark] for mark in _marks_of_error(error) if mark in rows}
        for row in named:
            found.setdefault(row, refusal(error, stream=stream, key=inputs[row].get("id")))
        if not named:
            nameless.append(error)
    left = [row for row in range(len(inputs)) if row not in found]
    if nameless and len(nameless) == len(left):
        # Errors name no row here, but every remaining row has failed.
        for row, error in zip(left, nameless, strict=True):
            found[row] = refusal(error, stream=stream, key=inputs[row].get("id"))
    unknown = UnavailableError(f"HubSpot did not report the outcome of a record of {stream}")
    return [found.get(row, unknown) for row in range(len(inputs))]


def _rows(inputs: Sequence[Json]) -> dict[str, int]:
    """Returns the marks by which a response may identify an input."""
    rows: dict[str, int] = {}
    for row, one in enumerate(inputs):
        for mark in (one["objectWriteTraceId"], one.get("id"), one["properties"].get(ONCE)):
            if mark:
                rows[mark] = row
    return rows


def _marks_of_result(thing: Json) -> set[str]:
    trace = thing.get("objectWriteTraceId")
    if trace:
        return {trace}
    once = (thing.get("properties") or {}).get(ONCE)
    return {mark for mark in (str(thing.get("id")), once) if mark}


def _marks_of_error(error: Json) -> set[str]:
    context = error.get("context")
    if not isinstance(context, dict):
        return set()
    marks = context.get("objectWriteTraceId") or context.get("ids") or context.get("id") or []
    return {str(mark) for mark in (marks if isinstance(marks, list) else [marks])}
