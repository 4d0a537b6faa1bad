"""The effective policies: the shipped ones overlaid with those of tulay.yaml, names resolved.

A field inherits from its branch and from the entity's default what it does not set itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from hub.model.policy import EntityPolicy, FieldPolicy
from hub.settings.connection_settings import ConnectionSettings
from hub.settings.file import SettingsFile, read_settings
from hub.settings.shape import EntityPolicyText, FieldPolicyText
from mappings.canonical.entities import ENTITIES
from mappings.canonical.values import Entity
from mappings.kit.files import nearest

SHIPPED = Path(__file__).with_name("policies.yaml")
#: The roles of connections, as policies name them.
ROLES = ("crm", "erp")
_ANY = "any"

Connections = Mapping[str, ConnectionSettings]


@cache
def shipped() -> dict[str, EntityPolicyText]:
    """Returns the policies that Tulay comes with."""
    content = read_settings(SHIPPED, shown=SHIPPED.name).content
    return TypeAdapter(dict[str, EntityPolicyText]).validate_python(content)


def check_policies(
    file: SettingsFile,
    policies: Mapping[str, EntityPolicyText],
    *,
    connections: Connections,
    entities: Mapping[str, Entity] = ENTITIES,
    custom: bool = True,
) -> None:
    """Refuses unknown entities, fields and connections, naming their lines.

    With `custom`, every path under `custom.` is accepted, because mapping files declare those.

    Raises: SettingsError.
    """
    for name, text in policies.items():
        entity = entities.get(name)
        if entity is None:
            hint = nearest(name, entities)
            raise file.error(f"policies: there is no entity {name!r}{hint}", "policies", name)
        for location, word in _names(text):
            if word not in connections and word not in ROLES:
                raise _unknown_name(file, word, connections, place=("policies", name, *location))
        known = valid_paths(entity)
        for path in text.fields:
            if _plain(path) not in known and not (custom and path.startswith("custom.")):
                raise file.error(
                    f"policies.{name}: {name} has no field {path!r}{nearest(path, known)}",
                    *("policies", name, "fields", path),
                )


def _names(text: EntityPolicyText) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yields (location, name) of the connections and roles in a policy."""
    for key, names in (("create", text.create), ("import", text.imports)):
        yield from (((key,), name) for name in names or ())
    blocks: list[tuple[tuple[str, ...], FieldPolicyText | None]] = [(("default",), text.default)]
    blocks += [(("fields", path), block) for path, block in text.fields.items()]
    for location, block in blocks:
        for key, word in () if block is None else _words(block):
            yield (*location, key), word


def _words(block: FieldPolicyText) -> Iterator[tuple[str, str]]:
    for word in _listed(block.owner):
        if word != _ANY:
            yield "owner", word
    for key, choice in (
        ("on_conflict", block.on_conflict),
        ("on_first_match", block.on_first_match),
    ):
        if choice is not None and choice not in ("ask", "latest"):
            yield key, choice


def _unknown_name(
    file: SettingsFile, word: str, connections: Connections, *, place: tuple[str, ...]
) -> Exception:
    known = [*connections, *(r for r in ROLES if r not in connections)]
    known += ["ask", "latest"] if place[-1] in ("on_conflict", "on_first_match") else []
    return file.error(
        f"{'.'.join(place)}: there is no connection {word!r}{nearest(word, known)}; use a name"
        " under `connections:` or a role",
        *place,
    )


def valid_paths(entity: Entity) -> set[str]:
    """Returns all paths that a policy of an entity may name: fields, branches, lists.

    >>> sorted(valid_paths(Entity("x", {"a.b": None}, {"lines": {"sku": None}})))
    ['a', 'a.b', 'lines[]', 'lines[].sku']
    """
    found = {
        path.rsplit(".", cut)[0] for path in entity.fields for cut in range(path.count(".") + 1)
    }
    for name, items in entity.lists.items():
        found |= {f"{name}[]", *(f"{name}[].{path}" for path in items)}
    return found


def _plain(path: str) -> str:
    """Returns a path as policies keep it: `lines` -> `lines[]`, `lines.sku` -> `lines[].sku`."""
    head, dot, rest = path.partition(".")
    lists = {name for entity in ENTITIES.values() for name in entity.lists}
    return f"{head}[]{dot}{rest}" if head in lists else path


def resolve_policies(
    policies: Mapping[str, EntityPolicyText],
    connections: Connections,
    entities: Iterable[str] = ENTITIES,
) -> dict[str, EntityPolicy]:
    """Returns the policy of every entity, with roles replaced by connections."""
    cast = _Cast(connections)
    return {
        entity: _resolved(shipped().get(entity), policies.get(entity), cast) for entity in entities
    }


@dataclass(frozen=True)
class _Cast:
    """Resolves roles to connections."""

    connections: Connections

    def named(self, words: Iterable[str], *, own: bool) -> list[str]:
        """Returns connections; in the user's own policies a connection's name precedes a role."""
        found: list[str] = []
        for word in words:
            if own and word in self.connections:
                found.append(word)
            else:
                found += [n for n, c in self.connections.items() if c.plays(word)]
        return list(dict.fromkeys(found))

    def choice(self, word: str, *, own: bool) -> str:
        """Returns ask, latest or the connection that wins."""
        if word in ("ask", "latest"):
            return word
        return next(iter(self.named([word], own=own)), "ask")


#: A field's policy with names resolved; only the keys that are set.
PolicyKeys = dict[str, Any]


def _policy_keys(block: FieldPolicyText | None, cast: _Cast, *, path: str, own: bool) -> PolicyKeys:
    if block is None:
        return {}
    keys: PolicyKeys = {}
    if block.owner is not None:
        words = _listed(block.owner)
        owners = cast.named(words, own=own)
        # [] means only the hub; roles without a connection mean all connections.
        keys["owners"] = frozenset(owners) if owners or not words else None
    if block.on_conflict is not None:
        keys["on_conflict"] = cast.choice(block.on_conflict, own=own)
    if block.on_first_match is not None:
        keys["on_first_match"] = cast.choice(block.on_first_match, own=own)
    if block.when_blank is not None:
        keys["when_blank"] = block.when_blank
    if block.unit is not None:
        named = block.unit if isinstance(block.unit, str) else path
        keys["unit"] = named if block.unit else None
    return keys


def _listed(owner: str | Sequence[str] | None) -> list[str]:
    return [owner] if isinstance(owner, str) else list(owner or ())


def _resolved(
    ours: EntityPolicyText | None, theirs: EntityPolicyText | None, cast: _Cast
) -> EntityPolicy:
    layers = [(text, own) for text, own in ((ours, False), (theirs, True)) if text is not None]
    by_path: dict[str, PolicyKeys] = {"": {}}
    create: list[str] = []
    imports: frozenset[str] | None = None
    delete = "keep"
    for text, own in layers:
        by_path[""] |= _policy_keys(text.default, cast, path="", own=own)
        for path, block in text.fields.items():
            merged = by_path.setdefault(_plain(path), {})
            merged |= _policy_keys(block, cast, path=_plain(path), own=own)
        if text.create is not None:
            create = cast.named(text.create, own=own)
        if text.imports is not None:
            imports = frozenset(cast.named(text.imports, own=own))
        delete = text.delete or delete
    return EntityPolicy(
        fields={path: FieldPolicy(**_inherited(path, by_path)) for path in by_path},
        create=frozenset(create),
        imports=imports,
        delete="propagate" if delete == "propagate" else "keep",
    )


def _inherited(path: str, by_path: Mapping[str, PolicyKeys]) -> PolicyKeys:
    """Returns the policy of a path: its own keys over its branch's over the default's."""
    parts = path.split(".") if path else []
    steps = ["", *(".".join(parts[: n + 1]) for n in range(len(parts)))]
    merged: PolicyKeys = {}
    for step in steps:
        merged |= by_path.get(step, {})
    return merged
