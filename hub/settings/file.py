"""A settings file with its lines: every error in it names the line, never a value."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from hub.errors import SettingsError
from mappings.kit.errors import MappingFileError
from mappings.kit.files import nearest
from mappings.kit.renames import Rename, renewed
from mappings.kit.source import Source, read_source

Location = tuple[str | int, ...]

#: Types of pydantic's errors -> our message; other errors keep pydantic's.
_WORDS = {
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "string_type": "must be a text; put it in quotes",
    "list_type": "must be a list, such as [a, b]",
    "tuple_type": "must be a list, such as [a, b]",
    "dict_type": "must be a block of `name: value` lines",
    "model_type": "must be a block of `name: value` lines",
    "model_attributes_type": "must be a block of `name: value` lines",
}


@dataclass(frozen=True)
class SettingsFile:
    """The content of a YAML file with settings."""

    path: Path
    #: The path as people wrote it, for messages.
    shown: str
    source: Source = field(repr=False)

    @property
    def content(self) -> Mapping[str, Any]:
        """The whole content; an empty file is an empty mapping."""
        return self.source.content or {}

    @property
    def folder(self) -> Path:
        """The folder that relative paths in the file start from."""
        return self.path.resolve().parent

    def error(self, message: str, *location: str | int) -> SettingsError:
        """Returns an error that names the line of a location."""
        line = self.source.line(location) or 1
        return SettingsError(f"{self.shown}:{line}: {message}")

    def _written(self, location: Location) -> Location:
        """Drops the suffix that pydantic adds for unions and the like (`str`, `list[str]`)."""
        while location and location not in self.source.lines:
            location = location[:-1]
        return location

    def invalid(self, model: type[BaseModel], error: ValidationError) -> SettingsError:
        """Returns the first error of pydantic in our words, at its line."""
        complaints = [
            (self.source.line(one["loc"]) or 1, one)
            for one in error.errors(include_url=False, include_input=False)
        ]
        # An unknown word explains why the right one is missing, not the reverse.
        _, first = min(complaints, key=lambda pair: (pair[1]["type"] != "extra_forbidden", pair[0]))
        location = self._written(first["loc"]) if first["type"] != "missing" else first["loc"]
        shown = ".".join(str(part) for part in location) or "the file"
        if first["type"] == "extra_forbidden":
            hint = nearest(str(location[-1]), keys_at(model, location[:-1]))
            where = f" in {'.'.join(map(str, location[:-1]))}" if location[:-1] else ""
            problem = f"unknown setting {location[-1]!r}{where}{hint}"
            return self.error(f"{problem}; correct the name or remove it", *location)
        if first["type"] == "missing":
            return self.error(f"{shown} is missing; add it", *location[:-1])
        words = _WORDS.get(first["type"], first["msg"].removeprefix("Value error, "))
        return self.error(f"{shown}: {words[:1].lower()}{words[1:]}", *location)


def read_settings(
    path: Path, *, shown: str | None = None, renames: Sequence[Rename] = ()
) -> SettingsFile:
    """Returns a settings file, with old names replaced by new ones according to `renames`.

    Raises: SettingsError if it is missing or not readable YAML.
    """
    name = shown or str(path)
    if not path.is_file():
        raise SettingsError(
            f"{name}: there is no such file; write one with `tulay init`, or name another one with"
            " --config or TULAY_CONFIG"
        )
    try:
        source = renewed(read_source(path), renames, shown=name)
    except MappingFileError as error:
        raise SettingsError(_broken(path, name, error)) from error
    file = SettingsFile(path, name, source)
    if source.content is not None and not isinstance(source.content, dict):
        raise file.error("this is not a list of settings; begin with `connections:`")
    return file


def _broken(path: Path, name: str, error: MappingFileError) -> str:
    problem = str(error).removeprefix(f"{path}:{error.line}: ").removeprefix(f"{path}: ")
    position = f"{name}:{error.line}" if error.line else name
    if "given twice" in problem:
        return f"{position}: {problem}; keep one of them"
    if "YAML" not in problem:
        return f"{position}: {problem}"
    # For YAML, a reference inside { } opens a block unless it is quoted.
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    line = lines[error.line - 1] if error.line and error.line <= len(lines) else ""
    if "{" in line.partition("${")[0] and "${" in line:
        return f"{position}: {problem}; inside {{ }} put it in quotes: '${{NAME}}'"
    return f"{position}: {problem}; check the indentation, the colons and the quotes"


def keys_at(model: type[BaseModel], location: Iterable[str | int]) -> list[str]:
    """Returns the setting names that are valid at a location."""
    annotation: Any = model
    for part in location:
        annotation = _models(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            fields = {field.alias or name: field for name, field in annotation.model_fields.items()}
            found = fields.get(str(part))
            annotation = found.annotation if found else None
        elif get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
    annotation = _models(annotation)
    known = (
        annotation.model_fields
        if isinstance(annotation, type) and issubclass(annotation, BaseModel)
        else {}
    )
    return [field.alias or name for name, field in known.items()]


def _models(annotation: Any) -> Any:
    """Returns the model in an optional annotation."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next((a for a in get_args(annotation) if a is not type(None)), None)
    return annotation
