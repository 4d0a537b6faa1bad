"""Renamed keys in files that people write: the old ones work for one release, with one hint each.

A file is renewed after it is read and before it is checked, so that all later code knows only the
new keys. A key that is given under both names is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mappings.kit.source import Location, Source

log = logging.getLogger("tulay.settings")

#: Hints that this process has already logged.
_hinted: set[tuple[str, Location]] = set()


@dataclass(frozen=True, slots=True)
class Rename:
    """A renamed key of a file. `*` in its path stands for any one key."""

    #: The path of the key, its old name last: `policies.*.default.both`.
    old: str
    new: str

    def locations(self, content: Any) -> Iterator[Location]:
        """Yields the locations of the old key.

        >>> list(Rename("a.*.b", "c").locations({"a": {"x": {"b": 1}, "y": {"c": 2}}}))
        [('a', 'x', 'b')]
        """
        yield from _matching(content, self.old.split("."), ())


def _matching(content: Any, pattern: Sequence[str], at: Location) -> Iterator[Location]:
    if not pattern:
        yield at
    elif isinstance(content, dict):
        names = list(content) if pattern[0] == "*" else [pattern[0]]
        for name in names:
            if name in content:
                yield from _matching(content[name], pattern[1:], (*at, name))


def renewed(source: Source, renames: Sequence[Rename], *, shown: str | None = None) -> Source:
    """Returns the file with the new keys, and logs a hint for each old one, once per process.

    `shown` is the path for messages. Raises: MappingFileError if both keys are given.
    """
    for rename in renames:
        for location in list(rename.locations(source.content)):
            source = _with_new_word(source, location, rename.new)
            _hint(shown or str(source.path), source.line(location), location, rename.new)
    return source


def _with_new_word(source: Source, location: Location, new: str) -> Source:
    *around, old = location
    block = _at(source.content, around)
    if new in block:
        raise source.error(
            f"{old!r} is called {new!r} now, which is given, too; keep one", *location
        )
    renewed_block = {(new if key == old else key): value for key, value in block.items()}
    size = len(location)
    lines = dict(source.lines)
    for key_location, line in source.lines.items():
        if key_location[:size] == location:
            lines[(*around, new, *key_location[size:])] = line
    return Source(source.path, _replaced(source.content, around, renewed_block), lines)


def _at(content: Any, location: Sequence[str | int]) -> Any:
    for part in location:
        content = content[part]
    return content


def _replaced(content: Any, location: Sequence[str | int], block: Any) -> Any:
    """Returns a copy of the content with another block at a location."""
    if not location:
        return block
    head, *rest = location
    return {**content, head: _replaced(content[head], rest, block)}


def _hint(file: str, line: int | None, location: Location, new: str) -> None:
    if (file, location) not in _hinted:
        _hinted.add((file, location))
        log.warning(
            "%s:%s: %r is called %r now; the old word works until the next release",
            *(file, line or 1, str(location[-1]), new),
            extra={"file": file, "line": line or 1},
        )
