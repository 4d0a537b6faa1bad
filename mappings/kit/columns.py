"""The fields of one mapping compiled: lenses chosen and fitted, paths made closures.

Refuses unknown lenses, canonical paths, streams and enum options with file and line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mappings.canonical.values import Entity, Field, Kind
from mappings.kit import lens as lenses
from mappings.kit import regional
from mappings.kit.errors import MappingFileError
from mappings.kit.files import Declared, DeclaredList, Stream, nearest
from mappings.kit.items import ItemList
from mappings.kit.lens import Factory, Lens, Options
from mappings.kit.mapping import CustomField
from mappings.kit.paths import Path, giver, parse, taker
from mappings.kit.row import Column, Columns, Region
from mappings.kit.source import Source

#: Kind -> type of a field that is created for it; text for all others.
_TYPES: dict[Kind, str] = {
    "decimal": "number",
    "integer": "integer",
    "boolean": "boolean",
    "date": "date",
    "datetime": "datetime",
    "enum": "enum",
}
#: Kinds that can keep an unparsable value as text.
_KEEPS = frozenset(("text", "email", "phone", "country", "tax_id", "domain"))


@dataclass(frozen=True, slots=True)
class Known:
    """The names that the files of one system may use."""

    entities: Mapping[str, Entity]
    streams: Mapping[str, Stream]
    lenses: Mapping[str, Factory]
    fitting: Mapping[Kind, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where columns are: in the record, or in the items of a list."""

    canonical: Mapping[str, Field]
    #: Prefix of the canonical paths: `lines[].`.
    prefix: str = ""
    #: The list in the system.
    within: str = ""


class Making:
    """Compiles the fields of one stream, and collects what the mapping says about itself."""

    def __init__(self, about: Known, entity: Entity) -> None:
        self.about = about
        self.entity = entity
        self.references: dict[str, str] = {}
        self.custom_fields: list[CustomField] = []
        self.names: dict[str, str] = {}

    def columns(self, fields: Mapping[str, Declared], place: Place) -> Columns:
        """Returns the compiled fields of a record, or of a list's items."""
        paths = {path: self._path(declared) for path, declared in fields.items()}
        made = []
        for path, declared in fields.items():
            field = place.canonical.get(path)
            if field is None:
                raise self._unknown(path, declared, place.canonical)
            siblings = tuple(
                other
                for name, other in paths.items()
                if other.place == paths[path].place and fields[name].spec.mode != "read"
            )
            column = self._column(path, declared, field, shown=place.prefix + path)
            self._names_of(declared, within=place.within)
            made.append(replace(column, give=giver(paths[path], siblings)))
        self._check_parts(made, fields)
        self._check_places(made, fields)
        return Columns(made)

    def _unknown(self, path: str, declared: Declared, canonical: Mapping[str, Field]) -> Exception:
        if path.startswith("custom."):
            return declared.error(f"{path!r} needs a `kind`, as in `kind: text`")
        hint = nearest(path, canonical)
        return declared.error(f"no path {path!r} in {self.entity.name}{hint}")

    def _path(self, declared: Declared) -> Path:
        return self._parsed(declared.spec.field, declared, "field")

    def _parsed(self, text: str, declared: Declared, key: str) -> Path:
        try:
            return parse(text)
        except ValueError as error:
            raise declared.error(str(error), key) from error

    def _names_of(self, declared: Declared, *, within: str) -> None:
        """Records which fields a declaration reads, for checks and for what is fetched."""
        texts = [declared.spec.field, *([declared.spec.region] if declared.spec.region else [])]
        for place in map(parse, texts):
            chosen_by = [".".join((*place.head, name)) for name, _ in place.criteria]
            for name in (place.name, *chosen_by):
                self._name(f"{within}.{name}" if within else name, declared)

    def _name(self, name: str, declared: Declared | DeclaredList) -> None:
        self.names.setdefault(name, declared.source.place(*declared.location))

    def defaults(self, place: Path, source: Source) -> None:
        """Records a field with a default for new records, for checks."""
        self.names.setdefault(place.name, source.place("defaults", place.text))

    def _column(self, path: str, declared: Declared, field: Field, *, shown: str) -> Column:
        spec, place = declared.spec, self._path(declared)
        name = spec.lens or lenses.USUAL[field.kind]
        lens = self._lens(name, declared, field)
        if field.kind == "reference":
            self.references[shown] = self._target(declared, field)
        if spec.custom:
            self.custom_fields.append(self._custom(path, declared, field, place))
        unknown = spec.unknown or lenses.UNKNOWN.get(name, "refuse")
        return Column(
            path=path,
            shown=shown,
            field=place,
            lens=lens,
            get=lenses.tolerant(lens.get, unknown, regional=lens.regional),
            take=taker(place),
            give=giver(place),
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
        self._check_options(declared, field, name)
        if spec.zone and name not in ("date", "date_of_datetime"):
            raise declared.error(f"lens {name!r} takes no `zone`", "zone")
        same = {option: option for option in field.options}
        values = same if spec.values is None else spec.values
        options = Options(
            values=values, keep=spec.unknown == "keep", otherwise=spec.otherwise, zone=spec.zone
        )
        try:
            lens = factory(options)
        except ValueError as error:
            raise declared.error(str(error), "zone") from error
        if (spec.region or spec.default_region) and not lens.regional:
            raise declared.error(f"lens {name!r} takes no `region`", "region")
        return lens

    def _check_options(self, declared: Declared, field: Field, name: str) -> None:
        spec = declared.spec
        if spec.unknown == "keep" and field.kind not in _KEEPS:
            raise declared.error(f"a {field.kind} cannot keep text; use blank or refuse", "unknown")
        if name != "enum":
            if spec.values is not None or spec.otherwise is not None:
                raise declared.error("only lens enum takes `values` and `otherwise`", "values")
            return
        if field.kind == "text":
            if not spec.values:
                raise declared.error("lens enum needs `values` to make a text", "lens")
            return
        for theirs, ours in (spec.values or {}).items():
            if ours not in field.options:
                hint = nearest(str(ours), field.options)
                raise declared.error(f"{ours!r} is not an option{hint}", "values", theirs)
        if spec.otherwise is not None and spec.otherwise not in field.options:
            hint = nearest(str(spec.otherwise), field.options)
            raise declared.error(f"{spec.otherwise!r} is not an option{hint}", "otherwise")

    def _region(self, declared: Declared) -> Region:
        spec = declared.spec
        take = taker(self._parsed(spec.region, declared, "region")) if spec.region else None
        try:
            default = regional.country(spec.default_region) if spec.default_region else None
        except ValueError as error:
            raise declared.error(str(error), "default_region") from error
        return Region(take, default)

    def _target(self, declared: Declared, field: Field) -> str:
        """Returns the stream that a reference points to: the named one, or the only one."""
        streams = self.about.streams
        named = declared.spec.stream
        if named is None:
            fitting = [n for n, s in streams.items() if s.entity == field.entity]
            if len(fitting) != 1:
                raise declared.error(f"name the `stream` that holds the {field.entity}")
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
        options = self._custom_options(declared, field) if kind == "enum" else ()
        return CustomField(place.head[-1], kind, label, options, path)

    def _custom_options(self, declared: Declared, field: Field) -> tuple[str, ...]:
        """Returns the options of an enumeration: the words that the lens writes."""
        words: dict[object, str] = {}
        for theirs, ours in (declared.spec.values or {}).items():
            words.setdefault(ours, theirs)  # of several with the same meaning the first is written
        options = tuple(theirs for ours, theirs in words.items() if ours is not None)
        if not (options or field.options):
            raise declared.error("a field of type enum needs `values`", "custom")
        return options or field.options

    def _check_parts(self, columns: list[Column], fields: Mapping[str, Declared]) -> None:
        """Refuses a name in one field that is mapped in part, because the rest would be lost."""
        for column in columns:
            if column.lens.join is not None:
                same = [c for c in columns if c.field.text == column.field.text]
                if {c.lens.part for c in same} != {"first", "last"} or len(same) != 2:
                    raise fields[column.path].error(
                        f"{column.field.text!r} needs exactly lens first_name and lens last_name"
                    )

    def _check_places(self, columns: list[Column], fields: Mapping[str, Declared]) -> None:
        """Refuses two paths that write one field, and new items that could not be found again."""
        seen: dict[str, Column] = {}
        for column in columns:
            if not column.writable:
                continue
            before = seen.setdefault(column.field.text, column)
            if before is not column and column.lens.join is None:
                raise _written_twice(column.field.text, before.path, column.path, fields)
            if column.field.index:
                raise fields[column.path].error(
                    f"{column.field.text!r}: only item 0 can be written; add `mode: read`", "field"
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
            raise declared.source.error(
                "a list cannot be inside a list", *declared.location, "field"
            )
        columns = self.columns(
            declared.fields, Place(canonical, prefix=f"{name}[].", within=place.name)
        )
        writable = [p for p, c in columns.by_path.items() if c.writable]
        self._name(place.name, declared)
        for key in keys:
            self._name(f"{place.name}.{key.name}", declared)
        return ItemList(
            name=name,
            field=place,
            take=taker(place),
            keys=tuple(taker(key) for key in keys),
            give_key=giver(keys[0]) if keys and writable else None,
            columns=columns,
            vital=tuple(p for p in writable if canonical[p].kind != "text") or tuple(writable),
        )


def _written_twice(
    field: str, one: str, other: str, fields: Mapping[str, Declared]
) -> MappingFileError:
    """Returns the error about two paths for one field, if possible at the user's own line."""
    first, second = sorted((one, other), key=lambda path: not fields[path].is_shipped)
    before = fields[first]
    return fields[second].error(
        f"{second!r} and {first!r} ({before.source.place(*before.location)}) both write {field!r};"
        " make one of them `mode: read`, or remove it with `null`"
    )
