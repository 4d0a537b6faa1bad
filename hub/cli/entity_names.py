"""Entities as people name them on the command line."""

from __future__ import annotations

from collections.abc import Collection

from hub.errors import UnknownError
from mappings.kit.files import nearest


def checked_entity(name: str, known: Collection[str]) -> str:
    """Returns the name. Raises: UnknownError with the nearest one when there is no such entity.

    >>> checked_entity("company", ["company", "contact"])
    'company'
    """
    if name not in known:
        raise UnknownError(f"there is no entity {name!r}{nearest(name, known)}")
    return name
