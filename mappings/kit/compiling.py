"""From declarations to a compiled mapping: every name is checked, every path becomes closures.

Refuses unknown lenses, entities, canonical paths, streams and enum options with file and line.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args

from mappings.canonical.values import Entity, Field, Kind, Scalar
from mappings.kit import lens as lenses
from mappings.kit.files import Declared, DeclaredList, Stream, nearest
from mappings.kit.lens import Factory, Lens, Options
from mappings.kit.mapping import CustomField
from mappings.kit.paths import Path, giver, parse, taker
from mappings.kit.table import Column, Columns, ItemList, Region, TableMapping

#: Raised by hand when lenses translate differently, so that the hub reads everything anew.
MEANING = 1

_TYPES: dict[Kind, str] = {
    "decimal": "number",
    "integer": "integer",
    "boolean": "boolean",
    "date": "date",
    "datetime": "datetime",
    "enum": "enum",
}


@dataclass(frozen=True, slots=True)
class Known:
    """What names in the files of one system may refer to."""

    entities: Mapping[str, Entity]
    streams: Mapping[str, Stream]
    lenses: Mapping[str, Factory]
    fitting: Mapping[Kind, frozenset[str]]


def system_lenses(system: str) -> dict[str, tuple[Kind, Factory]]:
    """Returns the lenses that a system brings in `mappings/<system>/lenses.py`, with their kind."""
    name = f"mappings.{system}.lenses"
    if not system.isidentifier() or importlib.util.find_spec(f"mappings.{system}") is None:
        return {}
    if importlib.util.find_spec(name) is None:
        return {}
    return cast("dict[str, tuple[Kind, Factory]]", importlib.import_module(name).LENSES)


def known(system: str, streams: Mapping[str, Stream], entities: Mapping[str, Entity]) -> Known:
    """Returns what the files of a system may name."""
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
    if not fields:
        return entity
    return Entity(
        name=entity.name,
        fields={**entity.fields, **fields},
        lists=entity.lists,
        match=entity.match,
        suggest=entity.suggest,
        contradict=entity.contradict,
        title=entity.title,
        states=entity.states,
    )


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
        raise declared.error(f"a reference needs `entity`, one of ours{hint}", "entity")
    return Field(kind, spec.help, options, spec.entity if kind == "reference" else None)


def compiled(stream: Stream, about: Known) -> TableMapping:
    """Returns the compiled mapping of a stream. Raises: MappingFileError."""
    entity = about.entities.get(stream.entity)
    if entity is None:
        hint = nearest(stream.entity, about.entities)
        raise stream.source.error(f"unknown entity {stream.entity!r}{hint}", "entity")
    _check_head(stream, entity)
    making = _Making(about, entity)
    columns = making.columns(stream.fields, entity.fields, "")
    lists = {name: making.items(name, items) for name, items in stream.lists.items()}
    mapping = TableMapping(
        system=stream.system,
        stream=stream.stream,
        entity=entity,
        fingerprint=_fingerprint(stream, entity),
        adopt=stream.adopt,
        constants=dict(stream.constants),
        requires=tuple(stream.requires),
        acts=dict(stream.acts),
        references=dict(making.references),
        custom_fields=tuple(making.custom_fields),
        names=dict(making.names),
        columns=columns,
        lists=lists,
        preset=tuple((giver(_path(p, stream)), raw) for p, raw in stream.preset.items()),
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
        raise stream.source.error(str(error), "preset", text) from error


def _check_head(stream: Stream, entity: Entity) -> None:
    for path, value in stream.constants.items():
        field = entity.fields.get(path)
        if field is None:
            hint = nearest(path, entity.fields)
            raise stream.source.error(f"no path {path!r} in {entity.name}{hint}", "constants", path)
        if field.kind == "enum" and value not in field.options:
            hint = nearest(str(value), field.options)
            raise stream.source.error(f"{value!r} is no {path}{hint}", "constants", path)
    states = entity.fields[entity.states.path].options if entity.states else ()
    for state in stream.acts:
        if state not in states:
            hint = nearest(state, states)
            raise stream.source.error(
                f"{state!r} is no state of {entity.name}{hint}", "acts", state
            )


def _fingerprint(stream: Stream, entity: Entity) -> str:
    def specs(fields: Mapping[str, Declared]) -> dict[str, Any]:
        return {path: declared.spec.model_dump(mode="json") for path, declared in fields.items()}

    meaning = {
        "meaning": MEANING,
        "stream": [stream.system, stream.stream, stream.entity, stream.adopt],
        "head": [stream.constants, stream.preset, stream.requires, stream.acts],
        "fields": specs(stream.fields),
        "lists": {n: [i.field, i.key, specs(i.fields)] for n, i in stream.lists.items()},
        "kinds": {p: [f.kind, f.options] for p, f in entity.fields.items()},
    }
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:16]


class _Making:
    """Compiles the fields of one stream, and collects what the mapping says about itself."""

    def __init__(self, about: Known, entity: Entity) -> None:
        self.about = about
        self.entity = entity
        self.references: dict[str, str] = {}
        self.custom_fields: list[CustomField] = []
        self.names: dict[str, int] = {}

    def columns(
        self, fields: Mapping[str, Declared], canonical: Mapping[str, Field], prefix: str
    ) -> Columns:
        paths = {path: self._path(declared) for path, declared in fields.items()}
        made = []
        for path, declared in fields.items():
            field = canonical.get(path)
            if field is None:
                raise self._unknown(path, declared, canonical)
            siblings = tuple(
                other
                for name, other in paths.items()
                if other.place == paths[path].place and fields[name].spec.mode != "read"
            )
            made.append(self._column(path, declared, field, shown=prefix + path, siblings=siblings))
        self._check_parts(made, fields)
        return Columns(made)

    def _unknown(self, path: str, declared: Declared, canonical: Mapping[str, Field]) -> Exception:
        if path.startswith("custom."):
            return declared.error(f"{path!r} needs a `kind`, as in `kind: text`")
        hint = nearest(path, canonical)
        return declared.error(f"no path {path!r} in {self.entity.name}{hint}")

    def _path(self, declared: Declared) -> Path:
        try:
            return parse(declared.spec.field)
        except ValueError as error:
            raise declared.error(str(error), "field") from error

    def _column(
        self, path: str, declared: Declared, field: Field, *, shown: str, siblings: tuple[Path, ...]
    ) -> Column:
        spec, place = declared.spec, self._path(declared)
        name = spec.lens or lenses.USUAL[field.kind]
        lens = self._lens(name, declared, field)
        if field.kind == "reference":
            self.references[shown] = self._target(declared, field)
        if spec.custom:
            self.custom_fields.append(self._custom(path, declared, field, place))
        self.names.setdefault(place.name, declared.source.line(declared.location) or 1)
        unknown = spec.unknown or lenses.UNKNOWN.get(name, "refuse")
        return Column(
            path=path,
            shown=shown,
            field=place,
            lens=lens,
            get=lenses.tolerant(lens.get, unknown, regional=lens.regional),
            take=taker(place),
            give=giver(place, siblings),
            region=self._region(declared) if lens.regional else None,
            writable=spec.mode != "read",
            readable=spec.mode != "write",
        )

    def _lens(self, name: str, declared: Declared, field: Field) -> Lens:
        factory = self.about.lenses.get(name)
        if factory is None:
            hint = nearest(name, self.about.lenses)
            raise declared.error(f"unknown lens {name!r}{hint}", "lens")
        if name not in self.about.fitting[field.kind]:
            hint = nearest(name, self.about.fitting[field.kind])
            raise declared.error(f"lens {name!r} does not make a {field.kind}{hint}", "lens")
        spec = declared.spec
        self._check_options(declared, field)
        options = Options(
            values=spec.values, unknown=spec.unknown, otherwise=spec.otherwise, zone=spec.zone
        )
        try:
            return factory(options)
        except ValueError as error:
            raise declared.error(str(error), "zone") from error

    def _check_options(self, declared: Declared, field: Field) -> None:
        spec = declared.spec
        values: dict[str, Scalar] = dict(spec.values or {})
        if field.kind != "enum":
            if values or spec.otherwise is not None:
                raise declared.error(f"a {field.kind} takes no `values` or `otherwise`", "values")
            return
        if spec.values is None:
            values = {option: option for option in field.options}
        for theirs, ours in values.items():
            if ours not in field.options:
                hint = nearest(str(ours), field.options)
                raise declared.error(f"{ours!r} is no option{hint}", "values", theirs)
        if spec.otherwise is not None and spec.otherwise not in field.options:
            hint = nearest(str(spec.otherwise), field.options)
            raise declared.error(f"{spec.otherwise!r} is no option{hint}", "otherwise")
        if spec.unknown == "keep":
            raise declared.error("an enum cannot keep what is no option", "unknown")

    def _region(self, declared: Declared) -> Region:
        spec = declared.spec
        try:
            take = taker(parse(spec.region)) if spec.region else None
        except ValueError as error:
            raise declared.error(str(error), "region") from error
        return Region(take, spec.default_region)

    def _target(self, declared: Declared, field: Field) -> str:
        """Returns the stream that a reference points into, named or the only one there is."""
        streams = self.about.streams
        named = declared.spec.stream
        if named is None:
            fitting = [n for n, s in streams.items() if s.entity == field.entity]
            if len(fitting) != 1:
                raise declared.error(f"say which `stream` holds the {field.entity}")
            return fitting[0]
        if named not in streams:
            raise declared.error(f"unknown stream {named!r}{nearest(named, streams)}", "stream")
        if streams[named].entity != field.entity:
            has = streams[named].entity
            raise declared.error(f"stream {named!r} is of {has}, not {field.entity}", "stream")
        return named

    def _custom(self, path: str, declared: Declared, field: Field, place: Path) -> CustomField:
        custom = declared.spec.custom
        label = path.rpartition(".")[2].replace("_", " ").capitalize()
        kind = _TYPES.get(field.kind, "text")
        if not isinstance(custom, bool):
            label, kind = custom.label or label, custom.type or kind
        if place.listed:
            raise declared.error("a field in a list cannot be created", "custom")
        return CustomField((place.head)[-1], kind, label)

    def _check_parts(self, columns: list[Column], fields: Mapping[str, Declared]) -> None:
        """Sees to it that a name in one field is mapped whole, or half of it would get lost."""
        for column in columns:
            if column.lens.join is not None:
                same = [c for c in columns if c.field.text == column.field.text]
                if {c.lens.part for c in same} != {"first", "last"} or len(same) != 2:
                    raise fields[column.path].error(
                        f"{column.field.text!r} needs exactly lens first_name and lens last_name"
                    )

    def items(self, name: str, declared: DeclaredList) -> ItemList:
        """Returns the compiled list of this name."""
        canonical = self.entity.lists.get(name)
        if canonical is None:
            hint = nearest(name, self.entity.lists)
            raise declared.source.error(
                f"no list {name!r} in {self.entity.name}{hint}", *declared.location
            )
        try:
            place, keys = parse(declared.field), [parse(key) for key in declared.key]
        except ValueError as error:
            raise declared.source.error(str(error), *declared.location) from error
        if place.listed:
            raise declared.source.error("a list cannot lie in a list", *declared.location, "field")
        columns = self.columns(declared.fields, canonical, f"{name}[].")
        writable = [p for p, c in columns.by_path.items() if c.writable]
        self.names.setdefault(place.name, declared.source.line(declared.location) or 1)
        return ItemList(
            name=name,
            field=place,
            take=taker(place),
            keys=tuple(taker(key) for key in keys),
            give_key=giver(keys[0]) if keys and writable else None,
            columns=columns,
            vital=tuple(p for p in writable if canonical[p].kind != "text") or tuple(writable),
        )
