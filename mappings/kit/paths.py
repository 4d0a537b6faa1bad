"""Paths into a payload, compiled to closures: `properties.name`, `addresses[0].city`,
`contact_mechanisms[type=email,name=].value`, `associations.companies[0]`.

A path reads from a payload and writes to a `Draft`, the patch being built. Paths with more than one
list are refused; `lists:` in a mapping file covers those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Take = Callable[[Mapping[str, Any]], Any]

_NAME = r"[A-Za-z_][A-Za-z0-9_\-]*"
_PATH = re.compile(rf"({_NAME}(?:\.{_NAME})*)(?:\[([^\]]*)\](?:\.({_NAME}(?:\.{_NAME})*))?)?")
_CRITERION = re.compile(rf"({_NAME})=(.*)")


@dataclass(frozen=True, slots=True)
class Path:
    """A parsed path: dict steps, then optionally an item of a list and dict steps inside it."""

    text: str
    #: Steps from the payload to the value, or to the list.
    head: tuple[str, ...]
    #: Index in the list; None without a list or with criteria.
    index: int | None = None
    #: Required fields of the item, "" for blank; empty without a list or with an index.
    criteria: tuple[tuple[str, str], ...] = ()
    #: Steps inside the item; empty if the item itself is the value.
    tail: tuple[str, ...] = ()

    @property
    def listed(self) -> bool:
        """Returns True if the path goes through a list."""
        return self.index is not None or bool(self.criteria)

    @property
    def name(self) -> str:
        """The path as a field name, without selection of items: `addresses.city`."""
        return ".".join(self.head + self.tail)

    @property
    def place(self) -> tuple[object, ...]:
        """Identifies the list item that the path goes through; equal for paths into one item."""
        return (self.head, self.index, self.criteria)


def parse(text: str) -> Path:
    """Returns the parsed path. Raises: ValueError if the text is not a path.

    >>> parse("contacts[type=email,name=].value").criteria
    (('type', 'email'), ('name', ''))
    """
    match = _PATH.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a path; write a.b, a[0].b or a[type=email,name=].b")
    head, choice, tail = match.groups()
    steps = tuple(head.split("."))
    inner = tuple(tail.split(".")) if tail else ()
    if choice is None:
        return Path(text, steps)
    if choice.isdigit():
        return Path(text, steps, index=int(choice), tail=inner)
    criteria = [_CRITERION.fullmatch(part.strip()) for part in choice.split(",")]
    if not inner or not all(criteria):
        raise ValueError(f"{text!r}: brackets hold an index or name=value, and .field follows")
    pairs = tuple((c[1], c[2].strip()) for c in criteria if c)
    return Path(text, steps, criteria=pairs, tail=inner)


def taker(path: Path) -> Take:
    """Returns the getter of a path: the value, or None where it is absent.

    >>> taker(parse("addresses[0].city"))({"addresses": [{"city": "Bonn"}]})
    'Bonn'
    """
    head = _steps(path.head)
    if not path.listed:
        return head
    choose = _chooser(path)
    if not path.tail:
        return lambda payload: choose(head(payload))
    tail = _steps(path.tail)

    def take(payload: Mapping[str, Any]) -> Any:
        item = choose(head(payload))
        return None if item is None else tail(item)

    return take


def _steps(names: tuple[str, ...]) -> Take:
    """Returns the getter through nested dicts, with fast paths for one and two steps."""
    if len(names) == 1:
        only = names[0]
        return lambda payload: payload.get(only)
    if len(names) == 2:
        first, second = names

        def two(payload: Mapping[str, Any]) -> Any:
            inner = payload.get(first)
            return inner.get(second) if inner else None

        return two

    def walk(payload: Mapping[str, Any]) -> Any:
        value: Any = payload
        for name in names:
            value = value.get(name)
            if not value:
                return value if name is names[-1] else None
        return value

    return walk


def _chooser(path: Path) -> Callable[[Any], Any]:
    index, criteria = path.index, path.criteria
    if index is not None:
        return lambda items: items[index] if items and len(items) > index else None

    def choose(items: Any) -> Any:
        for item in items or ():
            for name, wanted in criteria:
                if (item.get(name) or "") != wanted:
                    break
            else:
                return item
        return None

    return choose


@dataclass(slots=True)
class Draft:
    """A patch being built, for the record `current` (None: a new one)."""

    current: Mapping[str, Any] | None
    patch: dict[str, Any] = field(default_factory=dict)
    _items: dict[tuple[object, ...], dict[str, Any]] = field(default_factory=dict)

    def item(self, path: Path) -> dict[str, Any]:
        """Returns the patch of the list item that a path goes through, adding it if it is new."""
        made = self._items.get(path.place)
        if made is None:
            old = self.existing(path)
            made = {name: value for name, value in path.criteria if value}
            if old is not None:
                made = {"id": old["id"]}
            self._items[path.place] = made
            self.inside(path.head[:-1]).setdefault(path.head[-1], []).append(made)
        return made

    def existing(self, path: Path) -> Any:
        """Returns the current list item that a path goes through; None if there is none."""
        if self.current is None:
            return None
        return _chooser(path)(_steps(path.head)(self.current))

    def inside(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Returns the nested dict of the patch at some steps, adding missing ones."""
        found = self.patch
        for name in names:
            found = found.setdefault(name, {})
        return found


Give = Callable[[Draft, Any], None]


def giver(path: Path, siblings: tuple[Path, ...] = ()) -> Give:
    """Returns the setter of a path. `siblings` are all paths written into the same item.

    None for an item chosen by criteria removes the item if no sibling keeps a value; None for
    `x.id` or `x.code` of a referred record clears `x`.
    """
    if not path.listed:
        return lambda draft, raw: _put(draft, path.head, raw)
    if not path.tail:
        return lambda draft, raw: _put(draft, path.head, [] if raw is None else [raw])
    leaves = tuple(taker(Path("", sibling.tail)) for sibling in siblings or (path,))

    def give(draft: Draft, raw: Any) -> None:
        old = draft.existing(path)
        if raw is None and old is None and path.place not in draft._items:
            return
        made = draft.item(path)
        made.pop("remove", None)
        put(made, path.tail, raw, old)
        kept = {**(old or {}), **made}
        if path.criteria and old is not None and all(leaf(kept) is None for leaf in leaves):
            made["remove"] = True

    return give


def _put(draft: Draft, names: tuple[str, ...], raw: Any) -> None:
    put(draft.patch, names, raw, draft.current)


def put(
    target: dict[str, Any], names: tuple[str, ...], raw: Any, current: Mapping[str, Any] | None
) -> None:
    """Sets a value at some steps of a patch; `current` is the current record at the same depth.

    >>> patch = {}
    >>> put(patch, ("country", "code"), None, {"country": {"id": "5", "code": "DE"}})
    >>> patch
    {'country': None}
    """
    for position, name in enumerate(names[:-1]):
        current = current.get(name) if current else None
        referred = len(names) - position == 2 and names[-1] in ("id", "code")
        if raw is None and referred and current and current.get("id") is not None:
            target[name] = None
            return
        if target.get(name) is None:
            target[name] = {}
        target = target[name]
    target[names[-1]] = raw
