"""Which lens a field gets, with which options, and which stream a reference points into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mappings.canonical.values import Entity, Field, Kind
from mappings.kit.files import Declared, Stream, nearest
from mappings.kit.lens import Factory, Lens, Options

#: Kinds that can keep an unparsable value as text.
_KEEPS = frozenset(("text", "email", "phone", "country", "tax_id", "domain"))


@dataclass(frozen=True, slots=True)
class Known:
    """The names that the files of one system may use."""

    entities: Mapping[str, Entity]
    streams: Mapping[str, Stream]
    lenses: Mapping[str, Factory]
    fitting: Mapping[Kind, frozenset[str]]


def fitted_lens(about: Known, name: str, declared: Declared, field: Field) -> Lens:
    """Returns the lens of a field with its options. Raises: MappingFileError if it does not fit."""
    factory = about.lenses.get(name)
    if factory is None:
        hint = nearest(name, about.lenses)
        raise declared.error(f"unknown lens {name!r}{hint}", "lens")
    if name not in about.fitting[field.kind]:
        hint = nearest(name, about.fitting[field.kind])
        raise declared.error(f"lens {name!r} does not make a {field.kind}{hint}", "lens")
    spec = declared.spec
    _check_options(declared, field, name)
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


def _check_options(declared: Declared, field: Field, name: str) -> None:
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


def target_stream(streams: Mapping[str, Stream], declared: Declared, field: Field) -> str:
    """Returns the stream that a reference points to: the named one, or the only one."""
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
