"""The errors of translating.

MappingError
├── MappingFileError
└── LensError
"""

from __future__ import annotations

from pathlib import Path


class MappingError(Exception):
    """Something cannot be translated."""


class MappingFileError(MappingError):
    """A mapping file is wrong: refuse to start. The message begins with file:line."""

    def __init__(self, message: str, *, path: Path, line: int | None = None) -> None:
        position = f"{path}:{line}" if line else str(path)
        super().__init__(f"{position}: {message}")
        self.path = path
        self.line = line


class LensError(MappingError):
    """One value has no translation: the record is quarantined, the others continue.

    The message names the field and what was expected, never the value: messages are stored and
    logged.
    """

    def __init__(self, message: str, *, path: str, value: object = None) -> None:
        super().__init__(f"{path}: {message}")
        #: The canonical path that could not be translated.
        self.path = path
        #: A value that the mapping does not list; only for a person at a terminal, never stored.
        self.value = value
