"""Checks the fields of one mapping against each other."""

from __future__ import annotations

from collections.abc import Mapping

from mappings.kit.errors import MappingFileError
from mappings.kit.files import Declared
from mappings.kit.row import Column


def check_parts(columns: list[Column], fields: Mapping[str, Declared]) -> None:
    """Refuses a name in one field that is mapped in part, because the rest would be lost."""
    for column in columns:
        if column.lens.join is not None:
            same = [c for c in columns if c.field.text == column.field.text]
            if {c.lens.part for c in same} != {"first", "last"} or len(same) != 2:
                raise fields[column.path].error(
                    f"{column.field.text!r} needs exactly lens first_name and lens last_name"
                )


def check_places(columns: list[Column], fields: Mapping[str, Declared]) -> None:
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
