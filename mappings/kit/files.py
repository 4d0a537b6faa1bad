"""Finds, reads and checks mapping files, and merges them: the shipped ones, then the user's.

Knows neither lenses nor entities; `compiling` does. Refuses files of the wrong shape, naming file,
line and the nearest valid name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mappings.canonical.values import Scalar
from mappings.kit.errors import MappingFileError
from mappings.kit.file_schema import RENAMES, Custom, FieldSpec, ListSpec, MappingFile
from mappings.kit.renames import renewed
from mappings.kit.source import Location, Source, read_source

#: The folder of the shipped mapping files.
OURS = Path(__file__).resolve().parent.parent
#: The manifest of a connector, which may be in the same folder as its mappings.
MANIFEST = "manifest.yaml"


def nearest(word: str, known: Iterable[str]) -> str:
    """Returns the end of an error message: the nearest valid name, or all of them.

    >>> nearest("nmae", ["name", "phone"])
    '; did you mean name?'
    """
    names = sorted(known)
    close = get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known are {', '.join(names)}" if names else ""


@dataclass(frozen=True, slots=True)
class Declared:
    """A field's declaration with its location."""

    spec: FieldSpec
    source: Source
    location: Location

    @property
    def is_shipped(self) -> bool:
        """True if it is in a file that Tulay ships, not in one of the user's."""
        return self.source.path.is_relative_to(OURS)

    def error(self, message: str, *within: str | int) -> MappingFileError:
        """Returns an error that names this declaration's file and line."""
        return self.source.error(message, *self.location, *within)


@dataclass(slots=True)
class DeclaredList:
    """A list's declaration, merged from all files."""

    field: str
    key: list[str]
    source: Source
    location: Location
    fields: dict[str, Declared] = dataclasses.field(default_factory=dict)


@dataclass(slots=True)
class Stream:
    """The merged declarations of one stream."""

    system: str
    stream: str
    entity: str
    #: The file that was merged last, for errors about the whole.
    source: Source
    imports: bool = True
    constants: dict[str, Scalar] = dataclasses.field(default_factory=dict)
    defaults: dict[str, Scalar] = dataclasses.field(default_factory=dict)
    requires: list[str] = dataclasses.field(default_factory=list)
    actions: dict[str, str] = dataclasses.field(default_factory=dict)
    fields: dict[str, Declared] = dataclasses.field(default_factory=dict)
    lists: dict[str, DeclaredList] = dataclasses.field(default_factory=dict)


def streams(system: str, extra: Sequence[Path]) -> dict[str, Stream]:
    """Returns the streams of a system by name, the shipped ones first, then each extra folder.

    Raises: MappingFileError.
    """
    found: dict[str, Stream] = {}
    for folder in (OURS, *extra):
        seen: dict[str, Path] = {}
        paths = sorted((folder / system).glob("*.y*ml"))
        for path in (path for path in paths if path.name != MANIFEST):
            source, spec = _checked(path)
            if spec.stream in seen:
                other = seen[spec.stream].name
                raise source.error(f"stream {spec.stream!r} is already mapped in {other}", "stream")
            seen[spec.stream] = path
            found[spec.stream] = _laid(source, spec, system=system, known=found)
    return found


def _checked(path: Path) -> tuple[Source, MappingFile]:
    source = read_source(path)
    if not isinstance(source.content, dict):
        raise source.error("expected `entity:`, `stream:` and `fields:`")
    source = renewed(source, RENAMES)
    try:
        return source, MappingFile.model_validate(source.content)
    except ValidationError as error:
        raise _explained(source, error) from error


def _explained(source: Source, error: ValidationError) -> MappingFileError:
    """Returns the first error of pydantic in our words, at its line."""
    complaints = error.errors(include_url=False, include_input=False)
    # An unknown key explains why the right one is missing, not the reverse.
    first = min(complaints, key=lambda one: one["type"] != "extra_forbidden")
    location = tuple(part for part in first["loc"] if part != "Custom")
    name = str(location[-1]) if location else "file"
    if first["type"] == "extra_forbidden":
        return source.error(f"unknown key {name!r}{nearest(name, _keys(location))}", *location)
    if first["type"] == "missing":
        return source.error(f"{name!r} is missing", *location[:-1])
    return source.error(f"{name!r}: {first['msg'][:1].lower()}{first['msg'][1:]}", *location)


def _keys(location: Location) -> Iterable[str]:
    """Returns the keys that are valid at the end of a location."""
    shape: Mapping[str, Any] = MappingFile.model_fields
    if location[0] == "lists":
        shape = ListSpec.model_fields
    if "fields" in location[:-1]:
        shape = FieldSpec.model_fields
    if "custom" in location[:-1]:
        shape = Custom.model_fields
    return [getattr(field, "alias", None) or name for name, field in shape.items()]


def _laid(source: Source, spec: MappingFile, *, system: str, known: Mapping[str, Stream]) -> Stream:
    """Returns the stream with this file merged into it."""
    fresh = Stream(system, spec.stream, spec.entity, source)
    if spec.extends:
        if spec.stream not in known:
            hint = nearest(spec.stream, known)
            raise source.error(f"nothing to extend: no stream {spec.stream!r}{hint}", "stream")
        fresh = known[spec.stream]
        if fresh.entity != spec.entity:
            raise source.error(
                f"entity {spec.entity!r}, but the mapping that this file extends is of"
                f" {fresh.entity!r}; write `entity: {fresh.entity}`",
                "entity",
            )
        fresh.source = source
    _lay_head(fresh, spec)
    _lay_fields(fresh.fields, spec.fields, source, ("fields",))
    for name, items in spec.lists.items():
        _lay_list(fresh, name, items, source=source)
    return fresh


def _lay_head(stream: Stream, spec: MappingFile) -> None:
    if spec.imports is not None:
        stream.imports = spec.imports
    if spec.requires is not None:
        stream.requires = spec.requires
    stream.constants = {**stream.constants, **spec.constants}
    stream.defaults = {**stream.defaults, **spec.defaults}
    stream.actions = {**stream.actions, **spec.actions}


def _lay_fields(
    known: dict[str, Declared],
    given: Mapping[str, FieldSpec | None],
    source: Source,
    location: Location,
) -> None:
    for path, spec in given.items():
        if spec is None:
            if path not in known:
                hint = nearest(path, known)
                raise source.error(f"{path!r} cannot be removed{hint}", *location, path)
            del known[path]
        else:
            known[path] = Declared(spec, source, (*location, path))


def _lay_list(stream: Stream, name: str, spec: ListSpec, *, source: Source) -> None:
    location: Location = ("lists", name)
    items = stream.lists.get(name)
    if items is None:
        if spec.field is None:
            raise source.error("'field' is missing", *location)
        items = stream.lists[name] = DeclaredList(spec.field, [], source, location)
    items.source = source
    items.field = spec.field or items.field
    items.key = spec.key or items.key
    _lay_fields(items.fields, spec.fields, source, (*location, "fields"))
