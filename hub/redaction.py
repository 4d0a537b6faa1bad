"""Describes unexpected errors without their text, which may quote customer data or a secret.

Their types and locations are enough to find a bug, and are all that a log may contain.
"""

from __future__ import annotations

import traceback
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


def redacted(error: BaseException) -> str:
    """Returns types and locations of an error and its causes, the innermost location first.

    >>> try:
    ...     {}["Acme, Dock 1"]
    ... except KeyError as error:
    ...     redacted(error).partition(" at ")[0]
    'KeyError'
    """
    lines = [_line(error)]
    cause = error.__cause__ or error.__context__
    while cause is not None and len(lines) < 5:
        lines.append(f"after {_line(cause)}")
        cause = cause.__cause__ or cause.__context__
    return "; ".join(lines)


def _line(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{_short(frame.filename)}:{frame.lineno}" for frame in reversed(frames)]
    kind = type(error)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    return f"{name} at {' < '.join(places) or 'an unknown location'}"


def _short(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(_ROOT)) if path.is_relative_to(_ROOT) else path.name
