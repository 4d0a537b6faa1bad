"""Paths between golden records, as flows name them in `triggers` and `needs`.

Steps are joined by slashes; the empty path is the record itself. A step is one of

* `company`, `lines[].product`: what the record, or each item of a list, refers to;
* `<company`: the records that refer here by `company`;
* `=opportunity`, last: the record that was derived from this one, or from one that was merged into
  it, if that derived record refers here by `opportunity`.
"""

from __future__ import annotations

from enum import Enum
from functools import cache
from typing import NamedTuple


class Direction(Enum):
    """Where a step leads."""

    REFERRED = ""
    REFERRING = "<"
    DERIVED = "="


class Step(NamedTuple):
    """One step of a path."""

    direction: Direction
    #: The path of the reference.
    reference: str


@cache
def steps(path: str) -> tuple[Step, ...]:
    """Returns the steps of a path. Raises: ValueError if one is blank.

    >>> [(step.direction.name, step.reference) for step in steps("<company/sales_order")]
    [('REFERRING', 'company'), ('REFERRED', 'sales_order')]
    >>> steps("")
    ()
    """
    return tuple(map(_step, path.split("/"))) if path else ()


def _step(text: str) -> Step:
    sign = text[:1] if text[:1] in ("<", "=") else ""
    reference = text.removeprefix(sign)
    if not reference:
        raise ValueError("a step of a path names no reference")
    return Step(Direction(sign), reference)
