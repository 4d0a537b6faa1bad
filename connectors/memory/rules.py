"""Which values the memory system accepts: required, unique, closed streams, states.

Pure decisions on plain values; every refusal is a RecordRejectedError that names the field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from connectors.kit.contract import Payload
from connectors.kit.errors import RecordRejectedError
from connectors.memory.patching import get, leaves
from connectors.memory.shapes import StreamShape


def as_json(payload: Mapping[str, Any], *, stream: str) -> str:
    """Returns the payload as JSON text. Raises: RecordRejectedError when it is not JSON-able."""
    try:
        return json.dumps(payload, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        message = f"{stream}: the payload is not JSON; write decimals and times as text"
        raise RecordRejectedError(message, stream=stream) from error


def check_values(shape: StreamShape, payload: Payload, *, stream: str, key: str | None) -> None:
    """Accepts a whole record or raises RecordRejectedError with their name of each bad field."""
    bad = {path: "required" for path in shape.required if get(payload, path) in (None, "")}
    if shape.closed:
        known = set(shape.fields)
        bad |= {
            path: "no such field"
            for path, _ in leaves(payload)
            if path not in known and path.partition(".")[0] not in known
        }
    if bad:
        raise rejected(stream, key, bad)


def check_state(
    shape: StreamShape, old: Payload, new: Payload, *, where: tuple[str, str | None]
) -> None:
    """Refuses a state that was written as a field instead of reached by an action."""
    if shape.acts and get(new, shape.state) != get(old, shape.state):
        raise rejected(*where, {shape.state: "changes by an action only"})


def next_state(shape: StreamShape, payload: Payload, action: str, *, where: tuple[str, str]) -> str:
    """Returns the state that an action leads to. Raises: RecordRejectedError."""
    stream, key = where
    ways = shape.acts.get(action)
    if ways is None:
        raise rejected(stream, key, {shape.state: f"no action {action!r}"})
    state = get(payload, shape.state)
    if state not in ways:
        raise rejected(stream, key, {shape.state: f"{action!r} is not possible now"})
    return ways[state]


def rejected(stream: str, key: str | None, fields: Mapping[str, str]) -> RecordRejectedError:
    """Builds the refusal of some fields; the message has names and reasons, no values."""
    which = ", ".join(f"{name}: {why}" for name, why in sorted(fields.items()))
    row = f"{stream} {key}" if key else f"a new record of {stream}"
    message = f"{row} was refused ({which}); correct the value or the mapping"
    return RecordRejectedError(message, stream=stream, key=key, fields=fields)
