"""References to secrets: `${NAME}` is an environment variable, `${file:/path}` a file's content.

The text of a reference may be shown; its value never is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from hub.settings.file import SettingsFile

_REFERENCE = re.compile(r"\$\{([^{}]*)\}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def refers(text: str) -> bool:
    """Returns True if a text contains a reference.

    >>> refers("https://${HOST}/api"), refers("https://host/api")
    (True, False)
    """
    return _REFERENCE.search(text) is not None


def is_reference(text: str) -> bool:
    """Returns True if a text is exactly one reference: the only way to write a secret.

    >>> is_reference("${TOKEN}"), is_reference("Bearer ${TOKEN}")
    (True, False)
    """
    return _REFERENCE.fullmatch(text.strip()) is not None


@dataclass(frozen=True)
class References:
    """Replaces references by their values."""

    file: SettingsFile
    environ: Mapping[str, str] = field(repr=False)
    #: No system will be contacted, so that unset references are accepted.
    rehearsal: bool = False

    def resolve(self, text: str, *location: str | int) -> str:
        """Returns the text with values inserted. Raises: SettingsError, with the line."""
        return _REFERENCE.sub(lambda match: self._value(match[1].strip(), *location), text)

    def _value(self, name: str, *location: str | int) -> str:
        if name.startswith("file:"):
            return self._content(name.removeprefix("file:").strip(), *location)
        shown = ".".join(str(part) for part in location)
        if not _VARIABLE.fullmatch(name):
            raise self.file.error(
                f"{shown}: ${{{name}}} is not a reference; write ${{NAME}} for an environment"
                " variable or ${file:/path} for a file",
                *location,
            )
        value = self.environ.get(name)
        if value:
            return value
        close = get_close_matches(name, self.environ, n=1, cutoff=0.8)
        hint = f"; did you mean {close[0]}?" if close and close[0] != name else ""
        why = "is not set" if value is None else "is empty"
        raise self.file.error(
            f"{shown}: the environment variable {name} {why}{hint}; set it before you start tulay",
            *location,
        )

    def _content(self, name: str, *location: str | int) -> str:
        shown = ".".join(str(part) for part in location)
        path = self.file.folder / name
        try:
            value = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise self.file.error(
                f"{shown}: the file {name} cannot be read: {why}; create it, or correct the path",
                *location,
            ) from error
        if not value:
            raise self.file.error(
                f"{shown}: the file {name} is empty; write the secret into it", *location
            )
        return value
