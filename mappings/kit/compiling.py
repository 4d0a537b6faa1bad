"""Compiles the declarations of a stream into a mapping, and adds custom paths to the entities.

Refuses unknown entities, constants, states and required paths; fields are checked by `columns`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast, get_args

from mappings.canonical.values import Entity, Field, Kind
from mappings.kit import lens as lenses
from mappings.kit.columns import Making, Place
from mappings.kit.files import Declared, Stream, nearest
from mappings.kit.lens import Factory
from mappings.kit.lens_choice import Known
from mappings.kit.paths import Path, giver, parse
from mappings.kit.table import TableMapping

#: Raised by hand when lenses change their translations, so that the hub reads everything again.
MEANING = 1


def system_lenses(system: str) -> dict[str, tuple[Kind, Factory]]:
    """Returns the lenses in `mappings/<system>/lenses.py`, with their kinds."""
    name = f"mappings.{system}.lenses"
    if not system.isidentifier() or importlib.util.find_spec(f"mappings.{system}") is None:
        return {}
    if importlib.util.find_spec(name) is None:
        return {}
    return cast("dict[str, tuple[Kind, Factory]]", importlib.import_module(name).LENSES)


def known(system: str, streams: Mapping[str, Stream], entities: Mapping[str, Entity]) -> Known:
    """Returns the names that the files of a system may use."""
    own = system_lenses(system)
    fitting = dict(lenses.FITTING)
    for name, (kind, _) in own.items():
        fitting[kind] = fitting[kind] | {name}
    return Known(
        entities=entities,
        streams=streams,
        lenses={**lenses.LENSES, **{name: factory for name, (_, factory) in own.items()}},
        fitting=fitting,
    )


def extended(
    entities: Mapping[str, Entity], streams: Mapping[str, Mapping[str, Stream]]
) -> dict[str, Entity]:
    """Returns the entities with the `custom.` paths that the files of all systems declare."""
    extra: dict[str, dict[str, tuple[Field, Declared]]] = {}
    for stream in (one for system in streams.values() for one in system.values()):
        fields = extra.setdefault(stream.entity, {})
        for path, declared in stream.fields.items():
            if path.startswith("custom.") and declared.spec.kind is not None:
                found = _custom_path(declared, entities)
                if path in fields and fields[path][0].kind != found.kind:
                    before = fields[path][1].source.path
                    raise declared.error(f"{path!r} is of another kind in {before}", "kind")
                fields.setdefault(path, (found, declared))
    return {
        name: _with_fields(entity, {p: f for p, (f, _) in extra.get(name, {}).items()})
        for name, entity in entities.items()
    }


def _with_fields(entity: Entity, fields: Mapping[str, Field]) -> Entity:
    return replace(entity, fields={**entity.fields, **fields}) if fields else entity


def _custom_path(declared: Declared, entities: Mapping[str, Entity]) -> Field:
    spec = declared.spec
    kinds = get_args(Kind)
    if spec.kind not in kinds:
        raise declared.error(f"unknown kind {spec.kind!r}{nearest(str(spec.kind), kinds)}", "kind")
    kind = cast("Kind", spec.kind)
    options = tuple(spec.options)
    if kind == "enum" and not options:
        raise declared.error("an enum needs `options`", "kind")
    if kind == "reference" and spec.entity not in entities:
        hint = nearest(str(spec.entity), entities)
        raise declared.error(f"a reference needs a canonical `entity`{hint}", "entity")
    return Field(kind, spec.help, options, spec.entity if kind == "reference" else None)


def compiled(stream: Stream, about: Known) -> TableMapping:
    """Returns the compiled mapping of a stream. Raises: MappingFileError."""
    entity = about.entities.get(stream.entity)
    if entity is None:
        hint = nearest(stream.entity, about.entities)
        raise stream.source.error(f"unknown entity {stream.entity!r}{hint}", "entity")
    _check_head(stream, entity)
    making = Making(about, entity)
    columns = making.columns(stream.fields, Place(entity.fields))
    for text in stream.defaults:
        making.defaults(_path(text, stream), stream.source)
    lists = {name: making.items(name, items) for name, items in stream.lists.items()}
    mapping = TableMapping(
        system=stream.system,
        stream=stream.stream,
        entity=entity,
        fingerprint=_fingerprint(stream, entity),
        imports=stream.imports,
        constants=dict(stream.constants),
        requires=tuple(stream.requires),
        actions=dict(stream.actions),
        references=dict(making.references),
        custom_fields=tuple(making.custom_fields),
        names=dict(making.names),
        declared_at=stream.source.place("stream"),
        columns=columns,
        lists=lists,
        defaults=tuple((giver(_path(p, stream)), raw) for p, raw in stream.defaults.items()),
    )
    for path in stream.requires:
        if not mapping.writable(path):
            hint = nearest(path, stream.fields)
            raise stream.source.error(f"required {path!r} is not written{hint}", "requires")
    return mapping


def _path(text: str, stream: Stream) -> Path:
    try:
        return parse(text)
    except ValueError as error:
        raise stream.source.error(str(error), "defaults", text) from error


def _check_head(stream: Stream, entity: Entity) -> None:
    for path, value in stream.constants.items():
        field = entity.fields.get(path)
        if field is None:
            hint = nearest(path, entity.fields)
            raise stream.source.error(f"no path {path!r} in {entity.name}{hint}", "constants", path)
        if field.kind == "enum" and value not in field.options:
            hint = nearest(str(value), field.options)
            raise stream.source.error(f"{value!r} is not a {path}{hint}", "constants", path)
    states = entity.fields[entity.states.path].options if entity.states else ()
    for state in stream.actions:
        if state not in states:
            hint = nearest(state, states)
            raise stream.source.error(
                f"{state!r} is not a state of {entity.name}{hint}", "actions", state
            )


def _fingerprint(stream: Stream, entity: Entity) -> str:
    def specs(fields: Mapping[str, Declared]) -> dict[str, Any]:
        return {path: declared.spec.model_dump(mode="json") for path, declared in fields.items()}

    meaning = {
        "meaning": MEANING,
        "stream": [stream.system, stream.stream, stream.entity, stream.imports],
        "head": [stream.constants, stream.defaults, stream.requires, stream.actions],
        "fields": specs(stream.fields),
        "lists": {n: [i.field, i.key, specs(i.fields)] for n, i in stream.lists.items()},
        "kinds": {p: [f.kind, f.options] for p, f in entity.fields.items()},
    }
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:16]
