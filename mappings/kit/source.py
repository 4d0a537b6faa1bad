"""YAML with lines: reads a mapping file and keeps the line of every key.

Only true and false are booleans (`no` is a country and `on` a word), dates stay text, and a
repeated key is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mappings.kit.errors import MappingFileError

Location = tuple[str | int, ...]


if TYPE_CHECKING:
    from yaml import SafeLoader as _Parser
else:  # the C parser, where it is available, is ten times faster
    _Parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Parser):
    """YAML 1.1 without implicit booleans and dates."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))


@dataclass(frozen=True, slots=True)
class Source:
    """The content of a file, and the line of everything in it."""

    path: Path
    content: Any
    lines: dict[Location, int]

    def line(self, location: Location) -> int | None:
        """Returns the line of a location, or of the nearest enclosing one."""
        for end in range(len(location), -1, -1):
            if location[:end] in self.lines:
                return self.lines[location[:end]]
        return None

    def place(self, *location: str | int) -> str:
        """Returns file and line of a location, for people."""
        return f"{self.path}:{self.line(location) or 1}"

    def error(self, message: str, *location: str | int) -> MappingFileError:
        """Returns an error that names this file and the line of a location."""
        return MappingFileError(message, path=self.path, line=self.line(location))


def read_source(path: Path) -> Source:
    """Returns the content of a YAML file with its lines.

    Raises: MappingFileError if it is not valid YAML.
    """
    try:
        written = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MappingFileError("cannot be read as UTF-8 text", path=path) from error
    loader = _Loader(written)
    lines: dict[Location, int] = {}
    try:
        node = loader.get_single_node()
        content = None if node is None else _walk(node, (), _Reading(loader, lines, path))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        raise MappingFileError(f"broken YAML: {error.problem}", path=path, line=line) from error
    except yaml.YAMLError as error:
        raise MappingFileError("broken YAML", path=path) from error
    finally:
        loader.dispose()
    return Source(path, content, lines)


@dataclass(frozen=True, slots=True)
class _Reading:
    loader: _Loader
    lines: dict[Location, int]
    path: Path


def _walk(node: yaml.Node, at: Location, reading: _Reading) -> Any:
    line = node.start_mark.line + 1
    reading.lines.setdefault(at, line)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, at, reading)
    if isinstance(node, yaml.SequenceNode):
        return [_walk(item, (*at, n), reading) for n, item in enumerate(node.value)]
    return reading.loader.construct_object(node, deep=True)


def _mapping(node: yaml.MappingNode, at: Location, reading: _Reading) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise MappingFileError("a key must be a plain word", path=reading.path, line=line)
        key = str(key_node.value)
        if key in content:
            raise MappingFileError(f"{key!r} is given twice", path=reading.path, line=line)
        reading.lines[(*at, key)] = line
        content[key] = _walk(value_node, (*at, key), reading)
    return content
