"""The fields of one mapping compiled: lenses chosen and fitted, paths made closures.

Refuses unknown lenses, canonical paths, streams and enum options with file and line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mappings.canonical.values import Entity, Field
from mappings.kit import lens as lenses
from mappings.kit import regional
from mappings.kit.column_checks import check_parts, check_places
from mappings.kit.custom_columns import custom_field
from mappings.kit.files import Declared, DeclaredList, nearest
from mappings.kit.items import ItemList
from mappings.kit.lens_choice import Known, fitted_lens, target_stream
from mappings.kit.mapping import CustomField
from mappings.kit.paths import Path, giver, parse, taker
from mappings.kit.row import Column, Columns, Region
from mappings.kit.source import Source


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
        check_parts(made, fields)
        check_places(made, fields)
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
        lens = fitted_lens(self.about, name, declared, field)
        if field.kind == "reference":
            self.references[shown] = target_stream(self.about.streams, declared, field)
        if spec.custom:
            self.custom_fields.append(custom_field(path, declared, field, place))
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

    def _region(self, declared: Declared) -> Region:
        spec = declared.spec
        take = taker(self._parsed(spec.region, declared, "region")) if spec.region else None
        try:
            default = regional.country(spec.default_region) if spec.default_region else None
        except ValueError as error:
            raise declared.error(str(error), "default_region") from error
        return Region(take, default)

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
