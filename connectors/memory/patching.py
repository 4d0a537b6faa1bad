"""How the memory system changes a payload: nested patches, list items by id, ways of writing.

Pure. A patch names only what changes. It refuses nothing: rules about values live in `rules.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from connectors.kit.contract import Payload


def get(payload: Mapping[str, Any], path: str) -> Any:
    """Returns the value at a dotted path; None when there is none.

    >>> get({"address": {"city": "Bonn"}}, "address.city")
    'Bonn'
    """
    value: Any = payload
    for part in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def patched(current: Mapping[str, Any], patch: Mapping[str, Any], *, lists: str) -> Payload:
    """Returns the payload with a patch applied; neither argument is changed.

    >>> patched({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, lists="items")
    {'a': {'b': 1, 'c': 3}}
    """
    result = dict(current)
    for name, new in patch.items():
        old = current.get(name)
        if isinstance(new, Mapping):
            result[name] = patched(old if isinstance(old, Mapping) else {}, new, lists=lists)
        elif lists == "items" and _is_items(new):
            result[name] = _items(old if isinstance(old, list) else [], new, lists=lists)
        else:
            result[name] = new
    return result


def lost(past: Mapping[str, Any], now: Mapping[str, Any], patch: Mapping[str, Any]) -> Payload:
    """Returns the values a patch replaces that changed since the past one; lists as a whole.

    >>> lost({"a": 1, "b": {"c": 1}}, {"a": 2, "b": {"c": 2}}, {"a": 3, "b": {"c": 2}})
    {'a': 2}
    """
    found: Payload = {}
    for name, new in patch.items():
        before, value = past.get(name), now.get(name)
        if isinstance(new, Mapping):
            if below := lost(_branch(before), _branch(value), new):
                found[name] = below
        elif value not in (before, new):
            found[name] = value
    return found


def _branch(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_items(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(i, Mapping) for i in value)


def _items(old: list[Any], new: list[Mapping[str, Any]], *, lists: str) -> list[Payload]:
    """Changes items that have an `id`, drops those with `remove: true`, adds those without."""
    items = {str(item["id"]): item for item in old if isinstance(item, Mapping) and "id" in item}
    highest = max((int(key) for key in items if key.isdigit()), default=0)
    for change in new:
        key = change.get("id")
        if change.get("remove") is True:
            items.pop(str(key), None)
            continue
        if key is None:
            highest += 1
            key = str(highest)
        items[str(key)] = patched(items.get(str(key), {"id": str(key)}), change, lists=lists)
    return [dict(item) for item in items.values()]


def shown(payload: Mapping[str, Any], ways: Mapping[str, str]) -> Payload:
    """Returns the payload as the system stores it; `ways` has dotted path -> way.

    >>> shown({"name": "Acme", "lines": [{"price": "1.005"}]}, {"lines.price": "round:2"})
    {'name': 'Acme', 'lines': [{'price': '1.01'}]}
    """
    result = dict(payload)
    for path, way in ways.items():
        result = _at(result, path.split("."), way)
    return result


def _at(value: Any, parts: list[str], way: str) -> Any:
    if not parts:
        return _written(value, way)
    if isinstance(value, list):
        return [_at(item, parts, way) for item in value]
    if isinstance(value, Mapping) and parts[0] in value:
        return {**value, parts[0]: _at(value[parts[0]], parts[1:], way)}
    return value


def _written(value: Any, way: str) -> Any:
    name, _, figure = way.partition(":")
    if name == "round":
        return _rounded(value, int(figure))
    if not isinstance(value, str):
        return value
    texts = {"upper": value.upper(), "lower": value.lower(), "strip": value.strip()}
    if name == "truncate":
        return value[: int(figure)]
    if name not in texts:
        raise ValueError(f"no way of writing {way!r}; use upper, lower, strip, truncate:N, round:N")
    return texts[name]


def _rounded(value: Any, digits: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    try:
        number = Decimal(str(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    except InvalidOperation:
        return value
    return str(number) if isinstance(value, str) else type(value)(number)


def leaves(payload: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields every dotted path with its value; lists count as one value.

    >>> list(leaves({"a": {"b": 1}, "c": []}))
    [('a.b', 1), ('c', [])]
    """
    for name, value in payload.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{path}.")
        else:
            yield path, value
