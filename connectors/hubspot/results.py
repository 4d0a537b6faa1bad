"""What HubSpot's answers hold: results, errors of single rows, the next page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from connectors.hubspot.client import Json
from connectors.hubspot.errors import ABSENT
from connectors.kit.errors import ContractError

T = TypeVar("T")


def portions(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Splits a sequence into chunks of up to `size`.

    >>> list(portions("abcde", 2))
    ['ab', 'cd', 'e']
    """
    for start in range(0, len(items), size):
        yield items[start : start + size]


def objects_of(body: Json, what: str) -> list[Json]:
    """Returns the results of an answer. Raises: ContractError when they are not objects."""
    results = body.get("results")
    if not isinstance(results, list):
        raise ContractError(f"HubSpot answered without results for {what}")
    for thing in results:
        if not isinstance(thing, dict) or "id" not in thing or "properties" not in thing:
            raise ContractError(f"HubSpot answered a result without id or properties for {what}")
    return results


def refuse_other_errors(body: Json, what: str) -> None:
    """Raises ContractError for errors in a batch answer other than "not there"."""
    # quirk(hubspot): 207 (or 200 with `errors` from 2026-09) is a success with a list of what is
    # missing; a record without associations counts as an error there.
    for error in body.get("errors") or ():
        sub = str(error.get("subCategory") or "").rpartition(".")[2]
        if error.get("category") not in ABSENT and sub not in ABSENT:
            raise ContractError(
                f"HubSpot could not read some of {what} ({error.get('category') or 'no category'})"
            )


def next_after(body: Json) -> str | None:
    """Returns the cursor of the next page; None on the last one."""
    after = ((body.get("paging") or {}).get("next") or {}).get("after")
    return str(after) if after is not None else None
